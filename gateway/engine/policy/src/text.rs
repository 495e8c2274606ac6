//! Texts compared with patterns: exact, prefix (`abc*`), suffix (`*abc`), or any value (`*`).

use std::collections::HashSet;

/// Patterns up to this many are looked at one by one.
const FEW: usize = 8;

/// Several patterns, any of which may match.
#[derive(Debug, Default)]
pub struct TextSet {
    few: Vec<Box<str>>,
    many: HashSet<Box<str>>,
    prefixes: Vec<Box<str>>,
    suffixes: Vec<Box<str>>,
    any: bool,
}

impl TextSet {
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            if pattern == "*" {
                set.any = true;
            } else if let Some(suffix) = pattern.strip_prefix('*') {
                set.suffixes.push(suffix.into());
            } else if let Some(prefix) = pattern.strip_suffix('*') {
                set.prefixes.push(prefix.into());
            } else {
                set.few.push(pattern.into());
            }
        }
        if set.few.len() > FEW {
            set.many = set.few.drain(..).collect();
        }
        set
    }

    /// Texts as they are, whatever characters they have.
    pub fn exact<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let few: Vec<Box<str>> = texts.into_iter().map(Into::into).collect();
        if few.len() > FEW {
            return Self { many: few.into_iter().collect(), ..Self::default() };
        }
        Self { few, ..Self::default() }
    }

    /// An empty text is no value.
    pub fn accepts(&self, text: &str) -> bool {
        (self.any && !text.is_empty())
            || self.few.iter().any(|exact| **exact == *text)
            || self.prefixes.iter().any(|prefix| text.starts_with(&**prefix))
            || self.suffixes.iter().any(|suffix| text.ends_with(&**suffix))
            || (!self.many.is_empty() && self.many.contains(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_pattern_matches_what_it_says() {
        for (pattern, yes, no) in [
            ("abc", &["abc"][..], &["abcd", "xabc", "", "ABC"][..]),
            ("abc*", &["abc", "abcd"][..], &["ab", "xabc"][..]),
            ("*abc", &["abc", "xabc"][..], &["abcd", "bc"][..]),
            ("*", &["x"][..], &[""][..]),
            ("*a*", &["xa*"][..], &["a", "xab"][..]),
        ] {
            let set = TextSet::new([pattern]);
            assert!(yes.iter().all(|text| set.accepts(text)), "{pattern}");
            assert!(!no.iter().any(|text| set.accepts(text)), "{pattern}");
        }
    }

    #[test]
    fn many_exact_texts_are_hashed() {
        let texts: Vec<String> = (0..1000).map(|number| format!("name-{number}")).collect();
        let set = TextSet::new(texts.iter().map(String::as_str));
        assert!(set.few.is_empty() && set.many.len() == 1000);
        assert!(set.accepts("name-999") && !set.accepts("name-1000"));
        let set = TextSet::exact(texts.iter().map(String::as_str));
        assert!(set.accepts("name-0") && !set.accepts("name-"));
    }
}
