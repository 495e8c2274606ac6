//! The HTTP candidates of one hostname, found by path.
//!
//! Exact paths and prefixes are hashed. Only the lengths that some prefix has are probed, longest first and at
//! `/` boundaries, so that neither many routes nor a path of many segments makes a lookup long.

use std::sync::Arc;

use crate::candidate::{Candidate, Target};
use crate::group::{Candidates, Groups, Lengths, Routes, put, take_out};
use crate::host_map::Index;

#[derive(Clone, Debug, Default)]
pub struct PathIndex {
    exact: Groups,
    prefix: Groups,
    prefix_lengths: Lengths,
    regex: Candidates,
}

impl PathIndex {
    /// Candidates whose path is exactly `path`.
    #[inline]
    pub fn exact(&self, path: &str) -> &[Arc<Candidate>] {
        self.exact.get(path)
    }

    /// Candidates with a regular expression, which is still to be tried.
    #[inline]
    pub fn regex(&self) -> &[Arc<Candidate>] {
        &self.regex
    }

    /// Candidates with a prefix of `path`, longest prefix first, one slice for each prefix.
    #[inline]
    pub fn prefixes<'a, 'p>(&'a self, path: &'p str) -> impl Iterator<Item = &'a [Arc<Candidate>]> + use<'a, 'p> {
        let bytes = path.as_bytes();
        self.prefix_lengths.descending().filter_map(move |length| {
            let at_boundary = match bytes.get(length) {
                Some(next) => *next == b'/',
                None => length == bytes.len() && length > 0,
            };
            if !at_boundary {
                return None;
            }
            Some(self.prefix.get(path.get(..length)?)).filter(|found| !found.is_empty())
        })
    }
}

impl Index for PathIndex {
    fn put(&mut self, candidate: &Arc<Candidate>, routes: &Routes) {
        match &candidate.target {
            Target::Exact(path) => drop(self.exact.put(path, candidate, routes)),
            Target::Prefix(path) => {
                if self.prefix.put(path, candidate, routes) {
                    self.prefix_lengths.came(path.len());
                }
            }
            Target::Regex(_) => put(&mut self.regex, candidate, routes),
            Target::Grpc { .. } => {}
        }
    }

    fn take_out(&mut self, candidate: &Candidate) {
        match &candidate.target {
            Target::Exact(path) => drop(self.exact.take_out(path, candidate)),
            Target::Prefix(path) => {
                if self.prefix.take_out(path, candidate) {
                    self.prefix_lengths.went(path.len());
                }
            }
            Target::Regex(_) => take_out(&mut self.regex, candidate),
            Target::Grpc { .. } => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefix.is_empty() && self.regex.is_empty()
    }

    fn all(&self) -> Vec<&Arc<Candidate>> {
        self.exact.all().chain(&self.regex).chain(self.prefix.all()).collect()
    }
}
