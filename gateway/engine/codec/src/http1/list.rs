//! One pass over the tokenised fields: the end-to-end ones are kept, and what the others say is noted.
//!
//! Fields that mean something on this connection alone (RFC 9110, 7.6.1), and those that delimit the content, never get
//! into the header list.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use httparse::Header;

use super::HeadError;
use crate::Headers;
use crate::fields::{content_length, elements};

/// Room for the fields that filters and the edge add, so that the list seldom grows.
const SPARE_FIELDS: usize = 6;

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// What the fields of a head said.
#[derive(Debug, Default)]
pub(super) struct FieldList {
    pub headers: Headers,
    pub host: Option<HeaderValue>,
    pub content_length: Option<u64>,
    pub chunked: bool,
    pub close: bool,
    pub keep_alive: bool,
    pub expect_continue: bool,
    upgrade_named: bool,
    upgrade: Option<HeaderValue>,
    te_trailers: bool,
    names_other_fields: bool,
}

impl FieldList {
    pub fn read(head: &Bytes, fields: &[Header<'_>]) -> Result<Self, HeadError> {
        let mut list = Self { headers: Headers::with_capacity(fields.len() + SPARE_FIELDS), ..Self::default() };
        for field in fields {
            list.add(head, field)?;
        }
        if list.chunked && list.content_length.is_some() {
            return Err(HeadError::Malformed("both Transfer-Encoding and Content-Length are given"));
        }
        if list.names_other_fields {
            list.remove_named(fields);
        }
        if list.te_trailers {
            list.headers.append(http::header::TE, TRAILERS);
        }
        Ok(list)
    }

    /// The protocol that the sender asks to switch to, or switched to.
    ///
    /// Switching to HTTP/2 in the middle of a connection is never passed on: behind a gateway it is a way around it.
    pub fn take_upgrade(&mut self) -> Option<HeaderValue> {
        let upgrade = self.upgrade.take().filter(|_| self.upgrade_named)?;
        let to_http2 = elements(upgrade.as_bytes())
            .any(|name| name.eq_ignore_ascii_case(b"h2c") || name.eq_ignore_ascii_case(b"h2"));
        (!to_http2).then_some(upgrade)
    }

    fn add(&mut self, head: &Bytes, field: &Header<'_>) -> Result<(), HeadError> {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| HeadError::Malformed("a field name is not a token"))?;
        match name.as_str() {
            "host" => {
                if self.host.replace(value(head, field)?).is_some() {
                    return Err(HeadError::Malformed("more than one Host is given"));
                }
            }
            "content-length" => self.add_content_length(field.value)?,
            "transfer-encoding" => {
                if self.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError::Malformed("the Transfer-Encoding is not exactly chunked"));
                }
                self.chunked = true;
            }
            "connection" => self.add_connection(field.value),
            "upgrade" => {
                let value = value(head, field)?;
                self.upgrade.get_or_insert(value);
            }
            "te" => self.te_trailers |= elements(field.value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")),
            "expect" if field.value.eq_ignore_ascii_case(b"100-continue") => self.expect_continue = true,
            "keep-alive" | "proxy-connection" | "http2-settings" => {}
            _ => self.headers.append(name, value(head, field)?),
        }
        Ok(())
    }

    fn add_content_length(&mut self, text: &[u8]) -> Result<(), HeadError> {
        let length = content_length(text).ok_or(HeadError::Malformed("the Content-Length is not a number"))?;
        match self.content_length.replace(length) {
            Some(other) if other != length => Err(HeadError::Malformed("several Content-Length values differ")),
            Some(_) | None => Ok(()),
        }
    }

    fn add_connection(&mut self, text: &[u8]) {
        for option in elements(text) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_named = true;
            } else if !option.eq_ignore_ascii_case(b"te") {
                self.names_other_fields = true;
            }
        }
    }

    fn remove_named(&mut self, fields: &[Header<'_>]) {
        for field in fields.iter().filter(|field| field.name.eq_ignore_ascii_case("connection")) {
            for option in elements(field.value) {
                self.headers.retain(|name, _| !name.as_str().as_bytes().eq_ignore_ascii_case(option));
            }
        }
    }
}

/// The value as a slice of the head that it arrived in.
pub(super) fn value(head: &Bytes, field: &Header<'_>) -> Result<HeaderValue, HeadError> {
    HeaderValue::from_maybe_shared(head.slice_ref(field.value))
        .map_err(|_| HeadError::Malformed("a field value holds a control byte"))
}
