//! Values by hostname, looked up from the most specific to the least (Gateway API: `HTTPRouteSpec.hostnames`, `Listener.hostname`).
//!
//! Exact beats wildcard, a longer wildcard beats a shorter one, and `*` or the empty name comes last. A
//! wildcard stands for one label or more: `*.example.com` covers `a.b.example.com` and not `example.com`.

use crate::FastMap;

#[derive(Debug)]
pub struct Entry<T> {
    pub hostname: Box<str>,
    pub value: T,
}

#[derive(Debug)]
pub struct HostMap<T> {
    entries: Vec<Entry<T>>,
    exact: FastMap<Box<str>, u32>,
    /// Keyed by what follows the `*`, its dot included.
    wildcard: FastMap<Box<str>, u32>,
    any: Option<u32>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), exact: FastMap::default(), wildcard: FastMap::default(), any: None }
    }
}

impl<T> HostMap<T> {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn insert(&mut self, hostname: &str, value: T) {
        let position = self.entries.len() as u32;
        self.entries.push(Entry { hostname: hostname.into(), value });
        match hostname.strip_prefix('*') {
            Some("") => self.any = Some(position),
            Some(suffix) => drop(self.wildcard.insert(suffix.into(), position)),
            None if hostname.is_empty() => self.any = Some(position),
            None => drop(self.exact.insert(hostname.into(), position)),
        }
    }

    /// The entries that cover `host`, most specific first.
    #[inline]
    pub fn covering<'a, 'h>(&'a self, host: &'h str) -> Covering<'a, 'h, T> {
        Covering { map: self, host, step: Step::Exact }
    }

    pub fn entries(&self) -> &[Entry<T>] {
        &self.entries
    }
}

enum Step {
    Exact,
    /// Where to look for the dot that ends the part a wildcard stands for.
    Wildcard(usize),
    Any,
    Done,
}

/// An iterator rather than a list: looking a host up allocates nothing.
pub struct Covering<'a, 'h, T> {
    map: &'a HostMap<T>,
    host: &'h str,
    step: Step,
}

impl<'a, T> Iterator for Covering<'a, '_, T> {
    type Item = &'a Entry<T>;

    #[inline]
    fn next(&mut self) -> Option<&'a Entry<T>> {
        loop {
            let found = match self.step {
                Step::Exact => {
                    // A wildcard covers one label at least, hence not a dot in front.
                    self.step = if self.map.wildcard.is_empty() { Step::Any } else { Step::Wildcard(1) };
                    self.map.exact.get(self.host)
                }
                Step::Wildcard(from) => match self.host.get(from..).and_then(|rest| rest.find('.')) {
                    Some(dot) => {
                        self.step = Step::Wildcard(from + dot + 1);
                        self.map.wildcard.get(&self.host[from + dot..])
                    }
                    None => {
                        self.step = Step::Any;
                        None
                    }
                },
                Step::Any => {
                    self.step = Step::Done;
                    self.map.any.as_ref()
                }
                Step::Done => return None,
            };
            if let Some(position) = found {
                return Some(&self.map.entries[*position as usize]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_looked_up_from_specific_to_general() {
        let mut map = HostMap::default();
        for hostname in ["*", "*.com", "*.example.com", "*.b.example.com", "a.b.example.com", "example.com"] {
            map.insert(hostname, ());
        }
        for (host, expected) in [
            ("a.b.example.com", vec!["a.b.example.com", "*.b.example.com", "*.example.com", "*.com", "*"]),
            ("x.y.b.example.com", vec!["*.b.example.com", "*.example.com", "*.com", "*"]),
            ("b.example.com", vec!["*.example.com", "*.com", "*"]),
            ("example.com", vec!["example.com", "*.com", "*"]),
            (".example.com", vec!["*.com", "*"]),
            ("com", vec!["*"]),
            ("", vec!["*"]),
        ] {
            let found: Vec<_> = map.covering(host).map(|entry| &*entry.hostname).collect();
            assert_eq!(found, expected, "{host}");
        }
    }

    #[test]
    fn without_a_catch_all_an_unknown_host_has_no_owner() {
        let mut map = HostMap::default();
        map.insert("*.example.com", 1);
        assert!(map.covering("example.com").next().is_none());
        assert!(map.covering("badexample.com").next().is_none());
        assert_eq!(map.covering("www.example.com").next().map(|entry| entry.value), Some(1));
    }
}
