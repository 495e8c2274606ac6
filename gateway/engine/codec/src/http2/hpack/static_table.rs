//! The fields that both sides know from the start (RFC 7541, appendix A), as they are understood.

use bytes::Bytes;
use http::header::*;
use http::{Method, StatusCode};

use super::field::{Class, Field, Name};

/// How many entries there are; index 1 is the first.
pub const LENGTH: usize = 61;

pub static TABLE: [Field; LENGTH] = [
    Field::Authority(HeaderValue::from_static("")),
    Field::Method(Method::GET),
    Field::Method(Method::POST),
    Field::Path(Bytes::from_static(b"/")),
    Field::Path(Bytes::from_static(b"/index.html")),
    Field::Scheme(Bytes::from_static(b"http")),
    Field::Scheme(Bytes::from_static(b"https")),
    Field::Status(StatusCode::OK),
    Field::Status(StatusCode::NO_CONTENT),
    Field::Status(StatusCode::PARTIAL_CONTENT),
    Field::Status(StatusCode::NOT_MODIFIED),
    Field::Status(StatusCode::BAD_REQUEST),
    Field::Status(StatusCode::NOT_FOUND),
    Field::Status(StatusCode::INTERNAL_SERVER_ERROR),
    named(ACCEPT_CHARSET),
    Field::Regular(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"), Class::Plain),
    named(ACCEPT_LANGUAGE),
    named(ACCEPT_RANGES),
    named(ACCEPT),
    named(ACCESS_CONTROL_ALLOW_ORIGIN),
    named(AGE),
    named(ALLOW),
    named(AUTHORIZATION),
    named(CACHE_CONTROL),
    named(CONTENT_DISPOSITION),
    named(CONTENT_ENCODING),
    named(CONTENT_LANGUAGE),
    classed(CONTENT_LENGTH, Class::ContentLength),
    named(CONTENT_LOCATION),
    named(CONTENT_RANGE),
    named(CONTENT_TYPE),
    classed(COOKIE, Class::Cookie),
    named(DATE),
    named(ETAG),
    classed(EXPECT, Class::Expect),
    named(EXPIRES),
    named(FROM),
    classed(HOST, Class::Host),
    named(IF_MATCH),
    named(IF_MODIFIED_SINCE),
    named(IF_NONE_MATCH),
    named(IF_RANGE),
    named(IF_UNMODIFIED_SINCE),
    named(LAST_MODIFIED),
    named(LINK),
    named(LOCATION),
    named(MAX_FORWARDS),
    named(PROXY_AUTHENTICATE),
    named(PROXY_AUTHORIZATION),
    named(RANGE),
    named(REFERER),
    named(REFRESH),
    named(RETRY_AFTER),
    named(SERVER),
    named(SET_COOKIE),
    named(STRICT_TRANSPORT_SECURITY),
    Field::Malformed(Name::Regular(TRANSFER_ENCODING, Class::Forbidden)),
    named(USER_AGENT),
    named(VARY),
    named(VIA),
    named(WWW_AUTHENTICATE),
];

const fn named(name: HeaderName) -> Field {
    classed(name, Class::Plain)
}

const fn classed(name: HeaderName, class: Class) -> Field {
    Field::Regular(name, HeaderValue::from_static(""), class)
}
