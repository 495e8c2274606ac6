//! Regular expressions: each pattern is compiled once, and kept while some route uses it.

use std::sync::Arc;

use regex::Regex;
use sekisho_persistent::{Keyed, KeyedMap};
use sekisho_table::compile_regex;

#[derive(Clone, Debug)]
struct Pattern {
    text: Box<str>,
    regex: Regex,
    /// Predicates that have it.
    users: u32,
}

impl Keyed for Pattern {
    fn key(&self) -> &str {
        &self.text
    }
}

#[derive(Clone, Debug, Default)]
pub struct Patterns(KeyedMap<Arc<Pattern>>);

/// What becomes of the patterns of a match that is prepared.
pub trait Use {
    fn regex(&mut self, text: &str) -> Option<Box<Regex>>;
}

/// The match comes into use.
pub struct Taken<'a>(pub &'a mut Patterns);

/// The match goes out of use: it is prepared only to be found again, and never tried.
pub struct Released<'a>(pub &'a mut Patterns);

impl Use for Taken<'_> {
    fn regex(&mut self, text: &str) -> Option<Box<Regex>> {
        if let Some(pattern) = self.0.0.get_mut(text) {
            let pattern = Arc::make_mut(pattern);
            pattern.users += 1;
            return Some(Box::new(pattern.regex.clone()));
        }
        let regex = compile_regex(text).ok()?;
        self.0.0.insert(Arc::new(Pattern { text: text.into(), regex: regex.clone(), users: 1 }));
        Some(Box::new(regex))
    }
}

impl Use for Released<'_> {
    fn regex(&mut self, text: &str) -> Option<Box<Regex>> {
        let pattern = Arc::make_mut(self.0.0.get_mut(text)?);
        pattern.users -= 1;
        if pattern.users == 0 {
            self.0.0.remove(text);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_kept_while_it_is_used() {
        let mut patterns = Patterns::default();
        assert!(Taken(&mut patterns).regex("/a.*").is_some_and(|regex| regex.is_match("/ab")));
        assert!(Taken(&mut patterns).regex("/a.*").is_some());
        assert!(Taken(&mut patterns).regex("(").is_none());
        Released(&mut patterns).regex("(");
        Released(&mut patterns).regex("/a.*");
        assert_eq!(patterns.0.len(), 1);
        Released(&mut patterns).regex("/a.*");
        assert!(patterns.0.is_empty());
    }
}
