//! One match of one route, ready to be tried.

use std::borrow::Cow;
use std::sync::Arc;

use regex::Regex;
use sekisho_codec::message::Headers;
use sekisho_codec::target::{self, Normalized};

use crate::value::{HeaderTest, QueryTest, ValueTest};
use crate::{RequestView, RouteId};

#[derive(Debug)]
pub struct Candidate {
    pub route: RouteId,
    pub rule_match: u32,
    pub target: Target,
    pub method: Option<Box<str>>,
    pub headers: Box<[HeaderTest]>,
    pub query: Box<[QueryTest]>,
}

/// The predicate that an index answers.
#[derive(Debug)]
pub enum Target {
    Exact(Arc<str>),
    /// `None` never matches, as in [`ValueTest::Regex`].
    Regex(Option<Box<Regex>>),
    /// Without its trailing `/`, so that `/` is empty.
    Prefix(Arc<str>),
    Grpc {
        service: Option<ValueTest>,
        method: Option<ValueTest>,
    },
}

/// The first predicate that a request does not meet; numbers are positions in the match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    Target,
    Method,
    Header(usize),
    Query(usize),
}

impl Candidate {
    /// Made of the same match of the same route.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.route, self.rule_match) == (other.route, other.rule_match)
    }

    /// The predicates other than the target, in the order in which they are told to people.
    #[inline]
    pub fn failed(&self, request: &RequestView<'_>) -> Option<Failed> {
        if self.method.as_ref().is_some_and(|method| **method != *request.method) {
            return Some(Failed::Method);
        }
        if let Some(position) = self.headers.iter().position(|header| !header.accepts(request)) {
            return Some(Failed::Header(position));
        }
        self.query.iter().position(|query| !query.accepts(request)).map(Failed::Query)
    }

    /// How many predicates other than the target fail, for the ranking of near misses.
    pub fn count_failed(&self, request: &RequestView<'_>) -> usize {
        usize::from(self.method.as_ref().is_some_and(|method| **method != *request.method))
            + self.headers.iter().filter(|header| !header.accepts(request)).count()
            + self.query.iter().filter(|query| !query.accepts(request)).count()
    }
}

impl Target {
    pub fn accepts(&self, path: &str) -> bool {
        match self {
            Self::Exact(wanted) => **wanted == *path,
            Self::Regex(regex) => regex.as_ref().is_some_and(|regex| regex.is_match(path)),
            Self::Prefix(prefix) => path
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.starts_with('/') || (rest.is_empty() && !prefix.is_empty())),
            Self::Grpc { service: None, method: None } => true,
            Self::Grpc { service, method } => split_grpc(path).is_some_and(|(actual_service, actual_method)| {
                service.as_ref().is_none_or(|test| test.accepts(actual_service))
                    && method.as_ref().is_none_or(|test| test.accepts(actual_method))
            }),
        }
    }
}

/// A configured path in the spelling that requests are brought to, or as it is where it has none.
pub fn canonical(path: &str) -> Cow<'_, str> {
    match target::normalize(path.as_bytes()) {
        Ok(Normalized::Changed(changed)) => Cow::Owned(String::from_utf8_lossy(&changed).into_owned()),
        Ok(Normalized::Unchanged) | Err(_) => Cow::Borrowed(path),
    }
}

/// A prefix without its trailing `/`, which is ignored: the root is empty.
pub fn canonical_prefix(path: &str) -> Arc<str> {
    canonical(path).trim_end_matches('/').into()
}

/// The service and the method that a gRPC path names.
pub fn split_grpc(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}

/// Whether the content type is gRPC's: `application/grpc`, alone or with a message format after `+`.
pub fn is_grpc(headers: &Headers) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    let Some(value) = headers.value(&http::header::CONTENT_TYPE) else { return false };
    let Some((kind, rest)) = value.split_at_checked(TYPE.len()) else { return false };
    // `application/grpc-web` is another protocol.
    kind.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}
