//! Which rules speak of a name, found so that a name among 50,000 costs what one among ten does.
//!
//! A large table is asked for names that were not asked for lately, and then what counts is how many places in memory
//! are touched that no cache holds. Here it is one for a name: where its entry is tells a table of four bytes a name,
//! and the entry has the name's bytes and the places of rules beside each other. Names of a depth that no pattern has
//! are not looked for at all, and of others that are not there most are told by a filter of a byte a name.

use std::hash::{BuildHasher, RandomState};

use smallvec::SmallVec;

use crate::target::Place;

/// Places of rules by the patterns that cover a name.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    /// Keyed: whoever writes policies must not be able to bring many names under one hash.
    hasher: RandomState,
    /// Where in `entries` each share of the hashes begins, and the end. There are as many as entries.
    starts: Box<[u32]>,
    /// By hash: kind, length of the name, name, number of places, places in order and without repetition.
    entries: Vec<u8>,
    depths: [Depths; KINDS],
    filters: [Filter; KINDS],
    all: Vec<Place>,
}

/// What a pattern covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Exact,
    /// `*.name`, by `name`: one label more.
    OneMore,
    /// `**.name`, by `name`: one label more, or several.
    AnyMore,
}

const KINDS: usize = 3;

/// Numbers of labels, as a set.
#[derive(Clone, Copy, Debug, Default)]
struct Depths(u128);

impl Depths {
    /// More labels than a name can have count as the most that it can.
    fn bit(depth: usize) -> u128 {
        1 << depth.min(127)
    }

    fn has(self, depth: usize) -> bool {
        self.0 & Self::bit(depth) != 0
    }

    fn has_fewer_than(self, depth: usize) -> bool {
        self.0 & (Self::bit(depth) - 1) != 0
    }
}

/// Some of the hashes that are not there, for certain: of eight bits for each that is there, one is set.
#[derive(Debug, Default)]
struct Filter(Box<[u64]>);

impl Filter {
    fn for_hashes(count: usize) -> Self {
        Self(vec![0; (count / 8 + 1).next_power_of_two()].into())
    }

    fn position(&self, hash: u64) -> (usize, u64) {
        ((hash >> 6) as usize & (self.0.len() - 1), 1 << (hash & 63))
    }

    fn insert(&mut self, hash: u64) {
        let (word, bit) = self.position(hash);
        self.0[word] |= bit;
    }

    fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = self.position(hash);
        self.0[word] & bit != 0
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pattern<'a> {
    hash: u64,
    kind: Kind,
    name: &'a str,
    place: Place,
}

impl NameIndex {
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = (&'a str, Place)>) -> Self {
        let mut index = Self::default();
        let mut sorted: Vec<Pattern<'a>> = Vec::new();
        for (pattern, place) in patterns {
            let (kind, name) = if pattern == "*" {
                index.all.push(place);
                continue;
            } else if let Some(suffix) = pattern.strip_prefix("**.") {
                (Kind::AnyMore, suffix)
            } else if let Some(suffix) = pattern.strip_prefix("*.") {
                (Kind::OneMore, suffix)
            } else {
                (Kind::Exact, pattern)
            };
            sorted.push(Pattern { hash: index.hash(kind, name), kind, name, place });
        }
        sorted.sort_unstable();
        sorted.dedup();
        let alike = |one: &Pattern<'_>, other: &Pattern<'_>| (one.kind, one.name) == (other.kind, other.name);
        let mut counts = [0; KINDS];
        sorted.chunk_by(alike).for_each(|patterns| counts[patterns[0].kind as usize] += 1);
        index.filters = counts.map(Filter::for_hashes);
        index.starts = vec![0; counts.iter().sum::<usize>() + 1].into();
        let mut share = 0;
        for patterns in sorted.chunk_by(alike) {
            let next = index.share(patterns[0].hash);
            index.starts[share + 1..=next].fill(index.entries.len() as u32);
            share = next;
            index.insert(patterns);
        }
        index.starts[share + 1..].fill(index.entries.len() as u32);
        index.entries.shrink_to_fit();
        index
    }

    /// Patterns that are alike but for their places.
    fn insert(&mut self, patterns: &[Pattern<'_>]) {
        let Pattern { hash, kind, name, .. } = patterns[0];
        // A pattern that is longer than any name covers none.
        let Ok(length) = u8::try_from(name.len()) else { return };
        self.depths[kind as usize].0 |= Depths::bit(labels(name));
        self.filters[kind as usize].insert(hash);
        self.entries.extend([kind as u8, length]);
        self.entries.extend(name.as_bytes());
        self.entries.extend((patterns.len() as u32).to_le_bytes());
        self.entries.extend(patterns.iter().flat_map(|pattern| pattern.place.0.to_le_bytes()));
    }

    /// Which of the shares a hash is in; in the order of hashes.
    fn share(&self, hash: u64) -> usize {
        let shares = self.starts.len() as u64 - 1;
        (((hash >> 32) * shares) >> 32) as usize
    }

    fn hash(&self, kind: Kind, name: &str) -> u64 {
        self.hasher.hash_one((kind as u8, name))
    }

    /// Places of the rules whose names cover `name`, in no order. A place may come twice.
    pub(crate) fn covering(&self, name: &str) -> SmallVec<[Place; 8]> {
        let mut found = SmallVec::from_slice(&self.all);
        let mut depth = labels(name);
        self.find(Kind::Exact, name, depth, &mut found);
        let (mut rest, mut kinds) = (name, [Kind::OneMore, Kind::AnyMore].as_slice());
        while kinds.iter().any(|kind| self.depths[*kind as usize].has_fewer_than(depth)) {
            let Some((_, suffix)) = rest.split_once('.') else { break };
            depth -= 1;
            kinds.iter().for_each(|kind| self.find(*kind, suffix, depth, &mut found));
            (rest, kinds) = (suffix, &[Kind::AnyMore]);
        }
        found
    }

    fn find(&self, kind: Kind, name: &str, depth: usize, found: &mut SmallVec<[Place; 8]>) {
        if !self.depths[kind as usize].has(depth) {
            return;
        }
        let hash = self.hash(kind, name);
        if !self.filters[kind as usize].may_have(hash) {
            return;
        }
        let share = self.share(hash);
        let mut entries = &self.entries[self.starts[share] as usize..self.starts[share + 1] as usize];
        while let Some((entry, rest)) = Entry::read(entries) {
            if entry.kind == kind as u8 && entry.name == name.as_bytes() {
                found.extend(entry.places.iter().map(|bytes| Place(u32::from_le_bytes(*bytes))));
                return;
            }
            entries = rest;
        }
    }
}

/// As it is written by [`NameIndex::insert`].
struct Entry<'a> {
    kind: u8,
    name: &'a [u8],
    places: &'a [[u8; 4]],
}

impl<'a> Entry<'a> {
    /// The first one, and what follows it; `None` at the end.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let ([kind, length], rest) = bytes.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (places, rest) = rest.split_at_checked(u32::from_le_bytes(*count) as usize * 4)?;
        Some((Self { kind: *kind, name, places: places.as_chunks::<4>().0 }, rest))
    }
}

fn labels(name: &str) -> usize {
    name.bytes().filter(|byte| *byte == b'.').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covering(patterns: &[&str], name: &str) -> Vec<u32> {
        let places = patterns.iter().enumerate().map(|(place, pattern)| (*pattern, Place(place as u32)));
        let mut found: Vec<u32> = NameIndex::new(places).covering(name).iter().map(|place| place.0).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn wildcards_have_a_defined_depth() {
        let covering = |name| covering(&["a.example", "*.example", "**.example", "*", "*.b.example"], name);
        assert_eq!(covering("a.example"), [0, 1, 2, 3]);
        assert_eq!(covering("b.example"), [1, 2, 3]);
        assert_eq!(covering("a.b.example"), [2, 3, 4]);
        assert_eq!(covering("a.b.c.example"), [2, 3]);
        assert_eq!(covering("example"), [3], "a wildcard does not cover its own suffix");
        assert_eq!(covering("aexample"), [3]);
    }

    #[test]
    fn a_name_of_several_rules_has_all_their_places_once() {
        let patterns = ["one.example", "two.example", "one.example", "*.example", "one.example"];
        assert_eq!(covering(&patterns, "one.example"), [0, 2, 3, 4]);
        let twice = [("one.example", Place(7)), ("one.example", Place(7))];
        assert_eq!(NameIndex::new(twice.into_iter()).covering("one.example").as_slice(), [Place(7)]);
    }

    #[test]
    fn among_many_names_each_is_found_and_no_other() {
        let names: Vec<String> = (0..5_000).map(|number| format!("n{number}.example")).collect();
        let index = NameIndex::new(names.iter().zip(0..).map(|(name, place)| (name.as_str(), Place(place))));
        for (place, name) in names.iter().enumerate() {
            assert_eq!(index.covering(name).as_slice(), [Place(place as u32)], "{name}");
            assert!(index.covering(&name.replace('n', "m")).is_empty(), "{name}");
        }
    }

    #[test]
    fn patterns_of_no_possible_length_cover_nothing_and_disturb_nothing() {
        let long = format!("{}.example", "a".repeat(300));
        let deep = "a.".repeat(126) + "b";
        assert_eq!(covering(&[&long, "*.example", &deep, "**.b"], &deep), [2, 3]);
        assert!(covering(&[], "a.example").is_empty());
    }
}
