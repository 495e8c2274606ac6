//! A test on one value: of a header, a query parameter, or a part of a gRPC path.

use std::borrow::Cow;

use http::header::{HOST, HeaderName};
use regex::Regex;

use crate::{RequestView, query};

#[derive(Debug)]
pub enum ValueTest {
    Exact(Box<str>),
    /// `None` never matches: a pattern that validation should have refused must not widen a route.
    Regex(Option<Box<Regex>>),
}

impl ValueTest {
    #[inline]
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Exact(wanted) => **wanted == *value,
            Self::Regex(regex) => regex.as_ref().is_some_and(|regex| regex.is_match(value)),
        }
    }

    fn accepts_bytes(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => wanted.as_bytes() == value,
            Self::Regex(_) => self.accepts(&String::from_utf8_lossy(value)),
        }
    }

    fn accepts_encoded(&self, value: &str) -> bool {
        match self {
            Self::Exact(wanted) => query::decodes_to(value, wanted),
            Self::Regex(_) => self.accepts(&query::decode(value)),
        }
    }
}

#[derive(Debug)]
pub struct HeaderTest {
    pub name: HeaderName,
    pub test: ValueTest,
}

impl HeaderTest {
    /// A repeated header counts as its values joined with `,` (RFC 9110, 5.2), so that no value can hide
    /// behind the first. `host` is the host that was asked for, in lower case and without port.
    #[inline]
    pub fn accepts(&self, request: &RequestView<'_>) -> bool {
        if self.name == HOST {
            return self.test.accepts(request.host);
        }
        let mut values = request.headers.get_all(&self.name);
        let Some(first) = values.next() else { return false };
        if values.next().is_none() {
            return self.test.accepts_bytes(first.as_bytes());
        }
        self.value(request).is_some_and(|joined| self.test.accepts_bytes(&joined))
    }

    /// What the request carries, if anything.
    pub fn value<'a>(&'a self, request: &'a RequestView<'_>) -> Option<Cow<'a, [u8]>> {
        if self.name == HOST {
            return Some(Cow::Borrowed(request.host.as_bytes()));
        }
        let values: Vec<&[u8]> = request.headers.get_all(&self.name).map(|value| value.as_bytes()).collect();
        match values.as_slice() {
            [] => None,
            [only] => Some(Cow::Borrowed(only)),
            several => Some(Cow::Owned(several.join(&b','))),
        }
    }
}

#[derive(Debug)]
pub struct QueryTest {
    pub name: Box<str>,
    pub test: ValueTest,
}

impl QueryTest {
    #[inline]
    pub fn accepts(&self, request: &RequestView<'_>) -> bool {
        query::first_value(request.query, &self.name).is_some_and(|value| self.test.accepts_encoded(value))
    }
}
