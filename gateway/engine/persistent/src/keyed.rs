//! A map of values that know their keys, in leaves that versions share.

use std::hash::BuildHasher;
use std::sync::Arc;

use crate::FastHash;

/// A value with a name.
pub trait Keyed {
    fn key(&self) -> &str;
}

impl<T: Keyed + ?Sized> Keyed for Arc<T> {
    fn key(&self) -> &str {
        T::key(self)
    }
}

/// Values in a leaf, on average, from which on the leaves are split, and below which they are joined.
const FULL: usize = 16;
const SPARSE: usize = 2;

#[derive(Clone, Debug)]
struct Item<V> {
    /// The part of the hash that does not choose the leaf.
    hash: u32,
    value: V,
}

/// A hash map whose clone copies a list of leaves, and whose change copies one leaf.
///
/// A leaf is short enough to be looked along: comparing hashes side by side costs less than another level.
#[derive(Clone, Debug)]
pub struct KeyedMap<V> {
    /// A power of two, or none.
    leaves: Box<[Arc<[Item<V>]>]>,
    len: usize,
    hasher: FastHash,
}

impl<V> Default for KeyedMap<V> {
    fn default() -> Self {
        Self { leaves: Box::default(), len: 0, hasher: FastHash::default() }
    }
}

impl<V> KeyedMap<V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub fn get(&self, key: &str) -> Option<&V>
    where
        V: Keyed,
    {
        if self.len == 0 {
            return None;
        }
        let (leaf, hash) = self.place(key);
        self.leaves[leaf].iter().find(|item| item.hash == hash && item.value.key() == key).map(|item| &item.value)
    }

    /// Every value, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.leaves.iter().flat_map(|leaf| leaf.iter().map(|item| &item.value))
    }

    #[inline]
    fn place(&self, key: &str) -> (usize, u32) {
        let hash = self.hasher.hash_one(key);
        ((hash >> 32) as usize & (self.leaves.len() - 1), hash as u32)
    }
}

impl<V: Keyed + Clone> KeyedMap<V> {
    /// To be changed under the same key.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        if self.len == 0 {
            return None;
        }
        let (leaf, hash) = self.place(key);
        let found = self.leaves[leaf].iter().position(|item| item.hash == hash && item.value.key() == key)?;
        Some(&mut Arc::make_mut(&mut self.leaves[leaf])[found].value)
    }

    /// The value that had the key.
    pub fn insert(&mut self, value: V) -> Option<V> {
        if let Some(known) = self.get_mut(value.key()) {
            return Some(std::mem::replace(known, value));
        }
        if self.len >= self.leaves.len() * FULL {
            self.spread((self.leaves.len() * 2).max(1));
        }
        let (leaf, hash) = self.place(value.key());
        let items = self.leaves[leaf].iter().cloned();
        self.leaves[leaf] = items.chain([Item { hash, value }]).collect();
        self.len += 1;
        None
    }

    pub fn remove(&mut self, key: &str) -> Option<V> {
        if self.len == 0 {
            return None;
        }
        let (leaf, hash) = self.place(key);
        let found = self.leaves[leaf].iter().position(|item| item.hash == hash && item.value.key() == key)?;
        let mut items = self.leaves[leaf].to_vec();
        let removed = items.swap_remove(found).value;
        self.leaves[leaf] = items.into();
        self.len -= 1;
        if self.len == 0 {
            self.leaves = Box::default();
        } else if self.leaves.len() > 1 && self.len < self.leaves.len() * SPARSE {
            self.spread(self.leaves.len() / 2);
        }
        Some(removed)
    }

    /// Puts everything into `count` leaves.
    fn spread(&mut self, count: usize) {
        let mut leaves: Vec<Vec<Item<V>>> = std::iter::repeat_with(Vec::new).take(count).collect();
        for item in self.leaves.iter().flat_map(|leaf| leaf.iter()) {
            let hash = self.hasher.hash_one(item.value.key());
            leaves[(hash >> 32) as usize & (count - 1)].push(item.clone());
        }
        self.leaves = leaves.into_iter().map(Arc::from).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Named = (String, u32);

    impl Keyed for Named {
        fn key(&self) -> &str {
            &self.0
        }
    }

    fn content(map: &KeyedMap<Named>) -> BTreeMap<String, u32> {
        map.values().cloned().collect()
    }

    #[test]
    fn it_does_what_an_ordered_map_does_and_older_versions_stay() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut map, mut oracle) = (KeyedMap::default(), BTreeMap::new());
        let mut versions = Vec::new();
        for step in 0..20_000_u32 {
            let key = format!("key-{}", rng.u32(..if step < 12_000 { 3_000 } else { 40 }));
            // First it grows, then it shrinks to little.
            if rng.u8(..10) < if step < 9_000 { 7 } else { 2 } {
                assert_eq!(map.insert((key.clone(), step)).map(|it| it.1), oracle.insert(key.clone(), step));
            } else {
                assert_eq!(map.remove(&key).map(|it| it.1), oracle.remove(&key));
            }
            assert_eq!(map.get(&key).map(|it| it.1), oracle.get(&key).copied());
            assert_eq!(map.len(), oracle.len());
            if step % 1_000 == 0 {
                versions.push((map.clone(), oracle.clone()));
            }
        }
        versions.push((map, oracle));
        for (map, oracle) in versions {
            assert_eq!(content(&map), oracle);
        }
    }

    #[test]
    fn a_change_under_the_same_key_is_not_seen_by_older_versions() {
        let mut map = KeyedMap::default();
        map.insert(("a".to_owned(), 1));
        let before = map.clone();
        map.get_mut("a").expect("a value").1 = 2;
        assert_eq!((before.get("a").map(|it| it.1), map.get("a").map(|it| it.1)), (Some(1), Some(2)));
        assert_eq!(map.get_mut("b"), None);
    }

    #[test]
    fn what_is_not_changed_is_shared() {
        let mut map = KeyedMap::default();
        (0..5_000).for_each(|number| drop(map.insert((format!("key-{number}"), number))));
        let before = map.clone();
        map.insert(("another".to_owned(), 0));
        map.remove("key-17");
        let same = map.leaves.iter().zip(&before.leaves).filter(|(new, old)| Arc::ptr_eq(new, old)).count();
        assert!(same >= before.leaves.len() - 2, "{same} of {}", before.leaves.len());
    }
}
