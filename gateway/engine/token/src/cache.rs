//! Tokens that were proved lately, so that a client's next request does not cost another signature.

use std::collections::HashMap;
use std::rc::Rc;

use ring::digest::{SHA256, digest};
use sekisho_policy::Token;

use crate::verify::Validity;

/// Tokens of each of the two generations.
const MOST: usize = 2048;

/// Where and by whom a token was proved, and which it is. The token itself is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    set: u64,
    place: usize,
    digest: [u8; 32],
}

impl CacheKey {
    pub fn new(set: u64, place: usize, token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self { set, place, digest: bytes }
    }
}

#[derive(Clone, Debug)]
pub struct Proved {
    pub rule: usize,
    pub validity: Validity,
    pub token: Rc<Token>,
}

/// Of one worker. What is used stays; of the rest the older half goes at once.
#[derive(Debug, Default)]
pub struct TokenCache {
    young: HashMap<CacheKey, Proved>,
    old: HashMap<CacheKey, Proved>,
}

impl TokenCache {
    pub(crate) fn get(&mut self, key: &CacheKey) -> Option<Proved> {
        if let Some(proved) = self.young.get(key) {
            return Some(proved.clone());
        }
        let proved = self.old.remove(key)?;
        self.insert(*key, proved.clone());
        Some(proved)
    }

    pub(crate) fn insert(&mut self, key: CacheKey, proved: Proved) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, proved);
    }

    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims;

    fn proved(rule: usize) -> Proved {
        let validity = Validity::of(&serde_json::json!({})).expect("no times");
        Proved { rule, validity, token: Rc::new(claims::facts(serde_json::json!({}))) }
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let mut cache = TokenCache::default();
        let used = CacheKey::new(1, 0, "used");
        cache.insert(used, proved(7));
        for index in 0..10 * MOST {
            cache.insert(CacheKey::new(1, 0, &index.to_string()), proved(0));
            assert_eq!(cache.get(&used).map(|it| it.rule), Some(7));
        }
        assert!(cache.len() <= 2 * MOST + 1);
        assert!(cache.get(&CacheKey::new(1, 0, "0")).is_none());
    }

    #[test]
    fn a_token_counts_for_its_set_and_place_alone() {
        let mut cache = TokenCache::default();
        cache.insert(CacheKey::new(1, 0, "t"), proved(0));
        assert!(cache.get(&CacheKey::new(2, 0, "t")).is_none());
        assert!(cache.get(&CacheKey::new(1, 1, "t")).is_none());
        assert!(cache.get(&CacheKey::new(1, 0, "t")).is_some());
    }
}
