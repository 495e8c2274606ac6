//! Values by hostname, looked up from the most specific to the least (Gateway API: `HTTPRouteSpec.hostnames`, `Listener.hostname`).
//!
//! Exact beats wildcard, a longer wildcard beats a shorter one, and `*` or the empty name comes last. A
//! wildcard stands for one label or more: `*.example.com` covers `a.b.example.com` and not `example.com`.

use std::sync::Arc;

use sekisho_persistent::{Keyed, KeyedMap};

use crate::candidate::Candidate;
use crate::group::Routes;

#[derive(Clone, Debug)]
pub struct Entry<T> {
    pub hostname: Box<str>,
    pub value: T,
}

/// What a name is looked up by: of a wildcard what follows the `*`, its dot included.
impl<T> Keyed for Entry<T> {
    fn key(&self) -> &str {
        self.hostname.strip_prefix('*').unwrap_or(&self.hostname)
    }
}

/// Clones share what is equal.
#[derive(Clone, Debug)]
pub struct HostMap<T> {
    exact: KeyedMap<Arc<Entry<T>>>,
    wildcard: KeyedMap<Arc<Entry<T>>>,
    any: Option<Arc<Entry<T>>>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: KeyedMap::default(), wildcard: KeyedMap::default(), any: None }
    }
}

/// The candidates of a hostname.
pub trait Index: Clone + Default {
    fn put(&mut self, candidate: &Arc<Candidate>, routes: &Routes);

    fn take_out(&mut self, candidate: &Candidate);

    fn is_empty(&self) -> bool;

    /// Every candidate, in no particular order.
    fn all(&self) -> Vec<&Arc<Candidate>>;
}

/// Names that stand for every host.
fn is_any(hostname: &str) -> bool {
    matches!(hostname, "" | "*")
}

impl<T> HostMap<T> {
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.any.is_none()
    }

    pub fn insert(&mut self, hostname: &str, value: T) {
        let entry = Arc::new(Entry { hostname: hostname.into(), value });
        if is_any(hostname) {
            self.any = Some(entry);
        } else {
            self.names_mut(hostname).insert(entry);
        }
    }

    fn names_mut(&mut self, hostname: &str) -> &mut KeyedMap<Arc<Entry<T>>> {
        if hostname.starts_with('*') { &mut self.wildcard } else { &mut self.exact }
    }

    /// The entries that cover `host`, most specific first.
    #[inline]
    pub fn covering<'a, 'h>(&'a self, host: &'h str) -> Covering<'a, 'h, T> {
        Covering { map: self, host, step: Step::Exact }
    }

    /// In no particular order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.exact.values().chain(self.wildcard.values()).chain(&self.any).map(|entry| &**entry)
    }
}

impl<T: Index> HostMap<T> {
    pub fn put(&mut self, hostname: &str, candidate: &Arc<Candidate>, routes: &Routes) {
        match self.get_mut(hostname) {
            Some(entry) => Arc::make_mut(entry).value.put(candidate, routes),
            None => {
                let mut value = T::default();
                value.put(candidate, routes);
                self.insert(if is_any(hostname) { "*" } else { hostname }, value);
            }
        }
    }

    pub fn take_out(&mut self, hostname: &str, candidate: &Candidate) {
        let Some(entry) = self.get_mut(hostname) else { return };
        let value = &mut Arc::make_mut(entry).value;
        value.take_out(candidate);
        if value.is_empty() {
            self.remove(hostname);
        }
    }

    fn get_mut(&mut self, hostname: &str) -> Option<&mut Arc<Entry<T>>> {
        if is_any(hostname) {
            return self.any.as_mut();
        }
        self.names_mut(hostname).get_mut(hostname.strip_prefix('*').unwrap_or(hostname))
    }

    fn remove(&mut self, hostname: &str) {
        if is_any(hostname) {
            self.any = None;
        } else {
            self.names_mut(hostname).remove(hostname.strip_prefix('*').unwrap_or(hostname));
        }
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
            if let Some(entry) = found {
                return Some(entry);
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
