//! One field of a header list, in the form in which messages are put together.
//!
//! A field is understood once, when it is read as a literal: references to a table are copies of what was understood.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::fields::is_connection_specific;

/// A name; pseudo-header fields are no names of HTTP (RFC 9113, 8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Status,
    Regular(HeaderName, Class),
    /// An unknown pseudo-header field, a name in upper case, or no name at all.
    Malformed,
}

/// Fields that need a look whenever they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Plain,
    ContentLength,
    Host,
    Cookie,
    Expect,
    Te,
    /// Belongs to one connection of HTTP/1 (RFC 9113, 8.2.2).
    Forbidden,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Method(Method),
    Scheme(Bytes),
    Authority(HeaderValue),
    Path(Bytes),
    Status(StatusCode),
    Regular(HeaderName, HeaderValue, Class),
    /// Not allowed in HTTP (RFC 9113, 8.2): the message that holds it is refused.
    Malformed(Name),
}

impl Name {
    pub fn parse(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":status" => Self::Status,
            _ => match HeaderName::from_lowercase(name) {
                Ok(name) => {
                    let class = Class::of(&name);
                    Self::Regular(name, class)
                }
                Err(_) => Self::Malformed,
            },
        }
    }
}

impl Class {
    fn of(name: &HeaderName) -> Self {
        match name.as_str() {
            "te" => Self::Te,
            "host" => Self::Host,
            "cookie" => Self::Cookie,
            "expect" => Self::Expect,
            "content-length" => Self::ContentLength,
            _ if is_connection_specific(name) => Self::Forbidden,
            _ => Self::Plain,
        }
    }
}

impl Field {
    /// `sensitive`: the sender does not want the field in any table (RFC 7541, 7.1.3).
    pub fn new(name: Name, value: Bytes, sensitive: bool) -> Self {
        let understood = match &name {
            Name::Method => Method::from_bytes(&value).ok().map(Self::Method),
            Name::Scheme => Some(Self::Scheme(value)),
            Name::Authority => HeaderValue::from_maybe_shared(value).ok().map(Self::Authority),
            Name::Path => Some(Self::Path(value)),
            Name::Status => StatusCode::from_bytes(&value).ok().map(Self::Status),
            Name::Regular(_, Class::Forbidden) | Name::Malformed => None,
            Name::Regular(_, Class::Te) if value != "trailers" => None,
            Name::Regular(name, class) if !has_outer_space(&value) => {
                HeaderValue::from_maybe_shared(value).ok().map(|mut value| {
                    value.set_sensitive(sensitive);
                    Self::Regular(name.clone(), value, *class)
                })
            }
            Name::Regular(..) => None,
        };
        understood.unwrap_or(Self::Malformed(name))
    }

    pub fn name(&self) -> Name {
        match self {
            Self::Method(_) => Name::Method,
            Self::Scheme(_) => Name::Scheme,
            Self::Authority(_) => Name::Authority,
            Self::Path(_) => Name::Path,
            Self::Status(_) => Name::Status,
            Self::Regular(name, _, class) => Name::Regular(name.clone(), *class),
            Self::Malformed(name) => name.clone(),
        }
    }
}

/// RFC 9113, 8.2.1.
fn has_outer_space(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.first()) || is_space(value.last())
}
