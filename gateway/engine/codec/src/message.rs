//! What an HTTP message is inside the engine, whichever version carries it (RFC 9110).
//!
//! Header lists are small and read a few times, so they are a flat list in wire order: no hashing,
//! and every value is a slice of the buffer that it arrived in.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};

/// Header fields in wire order; names are lower case by type.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    list: Vec<(HeaderName, HeaderValue)>,
}

impl Headers {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { list: Vec::with_capacity(capacity) }
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The first value of `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.list.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        self.list.iter().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }

    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.list.push((name, value));
    }

    /// Replaces every value of `name` with one, in the place of the first.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        let mut value = Some(value);
        self.list.retain_mut(|(n, v)| {
            if *n != name {
                return true;
            }
            match value.take() {
                Some(new) => {
                    *v = new;
                    true
                }
                None => false,
            }
        });
        if let Some(value) = value {
            self.list.push((name, value));
        }
    }

    /// Removes every value of `name`; true when there was one.
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        let before = self.list.len();
        self.list.retain(|(n, _)| n != name);
        before != self.list.len()
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.list.retain(|(n, v)| keep(n, v));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.list.iter().map(|(n, v)| (n, v))
    }

    pub fn clear(&mut self) {
        self.list.clear();
    }

    pub fn from_map(map: HeaderMap) -> Self {
        let mut list = Vec::with_capacity(map.len());
        let mut last: Option<HeaderName> = None;
        for (name, value) in map {
            // `HeaderMap` yields the name only with the first of several values.
            if name.is_some() {
                last = name;
            }
            if let Some(name) = &last {
                list.push((name.clone(), value));
            }
        }
        Self { list }
    }

    pub fn into_map(self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.list.len());
        for (name, value) in self.list {
            map.append(name, value);
        }
        map
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A request's head. `authority` is `Host` or `:authority`, port included, as it was received;
/// `target` is the origin form: path and query, starting with `/` (or `*` for OPTIONS).
///
/// Invariant: `headers` holds neither `host` nor any pseudo-header; encoders write the authority.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub method: Method,
    pub scheme: Scheme,
    pub authority: HeaderValue,
    pub target: Bytes,
    pub version: Version,
    pub headers: Headers,
}

impl RequestHead {
    /// The path part of the target. The parser has checked that the target is visible ASCII.
    pub fn path(&self) -> &str {
        let target = self.target_str();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The query without `?`, or empty.
    pub fn query(&self) -> &str {
        self.target_str().split_once('?').map_or("", |(_, query)| query)
    }

    pub fn target_str(&self) -> &str {
        std::str::from_utf8(&self.target).unwrap_or("/")
    }
}

#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub headers: Headers,
}

/// A part of a message's content.
#[derive(Clone, Debug)]
pub enum Piece {
    Data(Bytes),
    Trailers(Headers),
}
