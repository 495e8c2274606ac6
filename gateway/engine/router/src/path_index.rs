//! The HTTP candidates of one hostname, found by path.
//!
//! Exact paths and prefixes are hashed. Only the lengths that some prefix has are probed, longest first and at
//! `/` boundaries, so that neither many routes nor a path of many segments makes a lookup long.

use std::ops::Range;
use std::sync::Arc;

use crate::FastMap;
use crate::candidate::{Candidate, Target};

/// Positions in the router's list of candidates, and so in order of precedence.
#[derive(Debug, Default)]
pub struct PathIndex {
    exact: FastMap<Arc<str>, Range<u32>>,
    prefix: FastMap<Arc<str>, Range<u32>>,
    /// Descending, without repeats.
    prefix_lengths: Box<[u32]>,
    regex: Range<u32>,
    positions: Box<[u32]>,
}

impl PathIndex {
    /// `positions` ascend, without repeats.
    pub fn build(positions: &[u32], candidates: &[Candidate]) -> Self {
        let mut slots = Slots::default();
        let mut index = Self::default();
        let mut exact = Vec::new();
        let mut prefix = Vec::new();
        let mut regex = Vec::new();
        for position in positions {
            match &candidates[*position as usize].target {
                Target::Exact(path) => exact.push((path, *position)),
                Target::Prefix(path) => prefix.push((path, *position)),
                Target::Regex(_) => regex.push(*position),
                Target::Grpc { .. } => {}
            }
        }
        index.exact = slots.group(exact);
        index.regex = slots.append(&regex);
        index.prefix = slots.group(prefix);
        let mut lengths: Vec<u32> = index.prefix.keys().map(|prefix| prefix.len() as u32).collect();
        lengths.sort_unstable_by(|left, right| right.cmp(left));
        lengths.dedup();
        index.prefix_lengths = lengths.into();
        index.positions = slots.positions.into();
        index
    }

    /// Candidates whose path is exactly `path`.
    #[inline]
    pub fn exact(&self, path: &str) -> &[u32] {
        self.exact.get(path).map_or(&[], |range| self.slice(range))
    }

    /// Candidates with a regular expression, which is still to be tried.
    #[inline]
    pub fn regex(&self) -> &[u32] {
        self.slice(&self.regex)
    }

    /// Candidates with a prefix of `path`, longest prefix first, one slice for each prefix.
    #[inline]
    pub fn prefixes<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a [u32]> {
        let bytes = path.as_bytes();
        self.prefix_lengths.iter().filter_map(move |length| {
            let length = *length as usize;
            let at_boundary = match bytes.get(length) {
                Some(next) => *next == b'/',
                None => length == bytes.len() && length > 0,
            };
            if !at_boundary {
                return None;
            }
            self.prefix.get(path.get(..length)?).map(|range| self.slice(range))
        })
    }

    /// Every candidate, in no particular order.
    pub fn all(&self) -> &[u32] {
        &self.positions
    }

    #[inline]
    fn slice(&self, range: &Range<u32>) -> &[u32] {
        &self.positions[range.start as usize..range.end as usize]
    }
}

/// Candidates of equal key side by side, so that a key costs two numbers.
#[derive(Default)]
pub struct Slots {
    pub positions: Vec<u32>,
}

impl Slots {
    pub fn group(&mut self, mut keyed: Vec<(&Arc<str>, u32)>) -> FastMap<Arc<str>, Range<u32>> {
        keyed.sort_unstable();
        let mut groups = FastMap::default();
        for group in keyed.chunk_by(|left, right| left.0 == right.0) {
            let start = self.positions.len() as u32;
            self.positions.extend(group.iter().map(|(_, position)| position));
            groups.insert(Arc::clone(group[0].0), start..self.positions.len() as u32);
        }
        groups.shrink_to_fit();
        groups
    }

    pub fn append(&mut self, positions: &[u32]) -> Range<u32> {
        let start = self.positions.len() as u32;
        self.positions.extend_from_slice(positions);
        start..self.positions.len() as u32
    }
}
