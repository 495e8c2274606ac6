//! From the fields of a block to a response's head (RFC 9113, 8.3.2), and to trailers (8.1).

use http::StatusCode;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};

use super::hpack::{Class, Field};
use super::request::note_length;
use crate::{BodyKind, Headers, ResponseHead};

const USUAL_FIELDS: usize = 16;

#[derive(Debug)]
pub(super) struct ResponseFields {
    status: Option<StatusCode>,
    headers: Headers,
    length: Option<u64>,
    list: ListBound,
}

/// What trailers and response heads have in common: a bound, and the first thing that is wrong.
#[derive(Debug)]
struct ListBound {
    size: usize,
    limit: usize,
    malformed: Option<&'static str>,
}

impl ListBound {
    fn new(limit: usize) -> Self {
        Self { size: 0, limit, malformed: None }
    }

    /// True while the list is within its bound.
    fn takes(&mut self, size: usize) -> bool {
        self.size += size;
        if self.size > self.limit {
            self.malformed.get_or_insert("the head is larger than allowed");
        }
        self.size <= self.limit
    }
}

/// A response, and what its length promises.
#[derive(Debug)]
pub(super) struct Response {
    pub head: ResponseHead,
    pub kind: BodyKind,
    pub expected: Option<u64>,
}

impl ResponseFields {
    pub fn new(limit: usize) -> Self {
        let headers = Headers::with_capacity(USUAL_FIELDS);
        Self { status: None, headers, length: None, list: ListBound::new(limit) }
    }

    pub fn take(&mut self, field: Field, size: usize) {
        if !self.list.takes(size) {
            return;
        }
        let outcome = match field {
            Field::Regular(_, value, Class::ContentLength) => note_length(&mut self.length, &value),
            Field::Regular(name, value, _) => {
                self.headers.append(name, value);
                Ok(())
            }
            Field::Status(status) if self.status.is_none() && self.headers.is_empty() => {
                self.status = Some(status);
                Ok(())
            }
            _ => Err("a field that a response does not have in HTTP/2"),
        };
        if let Err(text) = outcome {
            self.list.malformed.get_or_insert(text);
        }
    }

    /// A length that describes content which is not sent stays in the fields.
    pub fn finish(mut self, head_request: bool, ended: bool) -> Result<Response, &'static str> {
        if let Some(text) = self.list.malformed {
            return Err(text);
        }
        let status = self.status.ok_or("a response without a status")?;
        if status == StatusCode::SWITCHING_PROTOCOLS || (status.is_informational() && ended) {
            return Err("an informational response that HTTP/2 does not have");
        }
        let describes = head_request || status == StatusCode::NOT_MODIFIED;
        let kind = match self.length {
            Some(length) if ended && describes => {
                self.headers.append(CONTENT_LENGTH, HeaderValue::from(length));
                BodyKind::Empty
            }
            Some(length) if ended && length > 0 => return Err("a length, and no content"),
            _ if ended || status.is_informational() => BodyKind::Empty,
            Some(length) => BodyKind::Length(length),
            None => BodyKind::Unknown,
        };
        let expected = self.length.filter(|_| !describes && !status.is_informational());
        Ok(Response { head: ResponseHead { status, headers: self.headers }, kind, expected })
    }
}

/// The fields after the content: no pseudo-header fields among them.
#[derive(Debug)]
pub(super) struct TrailerFields {
    headers: Headers,
    list: ListBound,
}

impl TrailerFields {
    pub fn new(limit: usize) -> Self {
        Self { headers: Headers::default(), list: ListBound::new(limit) }
    }

    pub fn take(&mut self, field: Field, size: usize) {
        if !self.list.takes(size) {
            return;
        }
        match field {
            Field::Regular(name, value, _) => self.append(name, value),
            _ => {
                self.list.malformed.get_or_insert("a field that trailers do not have");
            }
        }
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.append(name, value);
    }

    pub fn finish(self) -> Result<Headers, &'static str> {
        self.list.malformed.map_or(Ok(self.headers), Err)
    }
}
