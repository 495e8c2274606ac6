//! Which rules speak of a name: exact names and wildcards by hash, so that a name among 50,000 costs what one among ten
//! does.

use std::collections::HashMap;

/// Places of rules by the names that they speak of, each list in order and without repetition.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    exact: HashMap<Box<str>, Vec<u32>>,
    /// `*.name`, by `name`: one label more.
    one_more: HashMap<Box<str>, Vec<u32>>,
    /// `**.name`, by `name`: one label more, or several.
    any_more: HashMap<Box<str>, Vec<u32>>,
    all: Vec<u32>,
}

impl NameIndex {
    pub(crate) fn insert(&mut self, pattern: &str, place: u32) {
        let list = if pattern == "*" {
            &mut self.all
        } else if let Some(suffix) = pattern.strip_prefix("**.") {
            self.any_more.entry(suffix.into()).or_default()
        } else if let Some(suffix) = pattern.strip_prefix("*.") {
            self.one_more.entry(suffix.into()).or_default()
        } else {
            self.exact.entry(pattern.into()).or_default()
        };
        if list.last() != Some(&place) {
            list.push(place);
        }
    }

    /// Places of the rules whose names cover `name`. A place may come twice.
    pub(crate) fn covering<'a>(&'a self, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        let exact = self.exact.get(name);
        let one_more = name.split_once('.').and_then(|(_, suffix)| self.one_more.get(suffix));
        let suffixes = std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'));
        let any_more = suffixes.filter_map(|(_, suffix)| self.any_more.get(suffix));
        exact.into_iter().chain(one_more).chain(any_more).flatten().chain(&self.all).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_have_a_defined_depth() {
        let mut index = NameIndex::default();
        for (place, pattern) in ["a.example", "*.example", "**.example", "*", "*.b.example"].iter().enumerate() {
            index.insert(pattern, place as u32);
        }
        let covering = |name: &str| {
            let mut found: Vec<u32> = index.covering(name).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(covering("a.example"), [0, 1, 2, 3]);
        assert_eq!(covering("b.example"), [1, 2, 3]);
        assert_eq!(covering("a.b.example"), [2, 3, 4]);
        assert_eq!(covering("a.b.c.example"), [2, 3]);
        assert_eq!(covering("example"), [3], "a wildcard does not cover its own suffix");
        assert_eq!(covering("aexample"), [3]);
    }
}
