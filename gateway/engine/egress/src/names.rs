//! Which rules speak of a name: exact names and wildcards by hash, so that a name among 50,000 costs what one among ten
//! does.

use std::collections::HashMap;

use crate::policy::Place;

/// Places of rules by the names that they speak of, each list in order and without repetition.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    exact: HashMap<Box<str>, Places>,
    /// `*.name`, by `name`: one label more.
    one_more: HashMap<Box<str>, Places>,
    /// `**.name`, by `name`: one label more, or several.
    any_more: HashMap<Box<str>, Places>,
    all: Places,
}

/// Most names stand in one rule, and that is told without a list elsewhere.
#[derive(Debug, Default)]
enum Places {
    #[default]
    None,
    One(Place),
    Several(Vec<Place>),
}

impl Places {
    fn push(&mut self, place: Place) {
        match self {
            Self::None => *self = Self::One(place),
            Self::One(known) if *known != place => *self = Self::Several(vec![*known, place]),
            Self::Several(list) if list.last() != Some(&place) => list.push(place),
            Self::One(_) | Self::Several(_) => {}
        }
    }

    fn list(&self) -> &[Place] {
        match self {
            Self::None => &[],
            Self::One(place) => std::slice::from_ref(place),
            Self::Several(list) => list,
        }
    }
}

impl NameIndex {
    pub(crate) fn insert(&mut self, pattern: &str, place: Place) {
        let places = if pattern == "*" {
            &mut self.all
        } else if let Some(suffix) = pattern.strip_prefix("**.") {
            self.any_more.entry(suffix.into()).or_default()
        } else if let Some(suffix) = pattern.strip_prefix("*.") {
            self.one_more.entry(suffix.into()).or_default()
        } else {
            self.exact.entry(pattern.into()).or_default()
        };
        places.push(place);
    }

    /// Places of the rules whose names cover `name`. A place may come twice.
    pub(crate) fn covering<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Place> + 'a {
        let exact = self.exact.get(name);
        let one_more = name.split_once('.').and_then(|(_, suffix)| self.one_more.get(suffix));
        let suffixes = std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'));
        let any_more = suffixes.filter_map(|(_, suffix)| self.any_more.get(suffix));
        let lists = exact.into_iter().chain(one_more).chain(any_more).chain([&self.all]);
        lists.flat_map(Places::list).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_have_a_defined_depth() {
        let mut index = NameIndex::default();
        for (place, pattern) in ["a.example", "*.example", "**.example", "*", "*.b.example"].iter().enumerate() {
            index.insert(pattern, Place { policy: 0, rule: place as u32, destination: 0 });
        }
        let covering = |name: &str| {
            let mut found: Vec<u32> = index.covering(name).map(|place| place.rule).collect();
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
