//! Candidates that are tried one after the other: lists in order of precedence, by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use sekisho_persistent::{Arena, Keyed, KeyedMap};
use sekisho_table::Route;

use crate::candidate::Candidate;
use crate::precedence::Precedence;

/// Best first.
pub type Candidates = Vec<Arc<Candidate>>;

/// What tells which of two candidates comes first.
pub type Routes = Arena<Route>;

pub fn precedence<'r>(candidate: &Candidate, routes: &'r Routes) -> Precedence<'r> {
    Precedence::of(&routes.slots()[candidate.route.0 as usize], candidate.rule_match)
}

/// Puts a candidate in its place. One that is there already stays alone.
pub fn put(candidates: &mut Candidates, candidate: &Arc<Candidate>, routes: &Routes) {
    if candidates.is_empty() {
        // Most lists stay at one.
        candidates.reserve_exact(1);
    }
    let wanted = precedence(candidate, routes);
    let place = candidates.partition_point(|known| precedence(known, routes) < wanted);
    if candidates.get(place).is_none_or(|known| !known.is_same(candidate)) {
        candidates.insert(place, candidate.clone());
    }
}

pub fn take_out(candidates: &mut Candidates, candidate: &Candidate) {
    candidates.retain(|known| !known.is_same(candidate));
}

#[derive(Clone, Debug)]
pub struct Group {
    key: Arc<str>,
    pub candidates: Candidates,
}

impl Keyed for Group {
    fn key(&self) -> &str {
        &self.key
    }
}

/// Lists by what a request must have exactly.
#[derive(Clone, Debug, Default)]
pub struct Groups(KeyedMap<Arc<Group>>);

impl Groups {
    #[inline]
    pub fn get(&self, key: &str) -> &[Arc<Candidate>] {
        self.0.get(key).map_or(&[], |group| &group.candidates)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Candidate>> {
        self.0.values().flat_map(|group| &group.candidates)
    }

    /// Whether the key is new.
    pub fn put(&mut self, key: &Arc<str>, candidate: &Arc<Candidate>, routes: &Routes) -> bool {
        match self.0.get_mut(key) {
            Some(group) => {
                put(&mut Arc::make_mut(group).candidates, candidate, routes);
                false
            }
            None => {
                self.0.insert(Arc::new(Group { key: key.clone(), candidates: vec![candidate.clone()] }));
                true
            }
        }
    }

    /// Whether the key is gone with it.
    pub fn take_out(&mut self, key: &str, candidate: &Candidate) -> bool {
        let Some(group) = self.0.get_mut(key) else { return false };
        let candidates = &mut Arc::make_mut(group).candidates;
        take_out(candidates, candidate);
        let is_empty = candidates.is_empty();
        if is_empty {
            self.0.remove(key);
        }
        is_empty
    }
}

/// How many keys have each length, so that only lengths that occur are looked for, longest first.
#[derive(Clone, Debug, Default)]
pub struct Lengths(Box<[(u32, u32)]>);

impl Lengths {
    #[inline]
    pub fn descending(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(length, _)| *length as usize)
    }

    pub fn came(&mut self, length: usize) {
        self.change(length, |count| count + 1);
    }

    pub fn went(&mut self, length: usize) {
        self.change(length, |count| count.saturating_sub(1));
    }

    fn change(&mut self, length: usize, counted: impl FnOnce(u32) -> u32) {
        let mut counts: BTreeMap<u32, u32> = self.0.iter().copied().collect();
        let count = counts.entry(length as u32).or_default();
        *count = counted(*count);
        self.0 = counts.into_iter().rev().filter(|(_, count)| *count > 0).collect();
    }
}
