//! What an HTTP message is inside the engine, whichever version carries it (RFC 9110).

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode, Version};

pub use crate::headers::Headers;

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
/// `target` is the origin form in its one spelling: path and query, starting with `/` (or `*` for OPTIONS, and empty for CONNECT,
/// which only those see who asked the codec for tunnels).
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
        self.path_and_query().0
    }

    /// The query without `?`, or empty.
    pub fn query(&self) -> &str {
        self.path_and_query().1
    }

    pub fn path_and_query(&self) -> (&str, &str) {
        let target = self.target_str();
        target.split_once('?').unwrap_or((target, ""))
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
