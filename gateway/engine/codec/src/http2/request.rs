//! From the fields of a block to a request's head (RFC 9113, 8.3.1), with the rules that every version shares.
//!
//! A message that HTTP/2 calls malformed costs its stream. One that is well formed and refused all the same is answered.

use bytes::Bytes;
use http::header::{COOKIE, HeaderValue};
use http::{Method, Version};

use super::hpack::{Class, Field};
use crate::fields::content_length;
use crate::http1::HeadError;
use crate::target::{Normalized, normalize};
use crate::{BodyKind, Headers, RequestHead, Scheme, authority};

/// Room for the fields of most requests, and for what is added on the way.
const USUAL_FIELDS: usize = 16;

#[derive(Debug)]
pub(super) struct RequestFields {
    method: Option<Method>,
    scheme: Option<Bytes>,
    authority: Option<HeaderValue>,
    path: Option<Bytes>,
    host: Option<HeaderValue>,
    several_hosts: bool,
    headers: Headers,
    crumbs: u32,
    length: Option<u64>,
    expect_continue: bool,
    regular: bool,
    size: usize,
    limit: usize,
    malformed: Option<&'static str>,
}

/// A request that can be served.
#[derive(Debug)]
pub(super) struct Request {
    pub head: RequestHead,
    pub kind: BodyKind,
    pub expect_continue: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed(&'static str),
    Answered(HeadError),
}

/// What a server wants to be asked besides ordinary requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks {
    /// Requests may ask for a tunnel.
    pub takes_connect: bool,
    /// Requests keep the scheme that they name.
    pub keeps_scheme: bool,
}

impl RequestFields {
    pub fn new(limit: usize) -> Self {
        Self {
            method: None,
            scheme: None,
            authority: None,
            path: None,
            host: None,
            several_hosts: false,
            headers: Headers::with_capacity(USUAL_FIELDS),
            crumbs: 0,
            length: None,
            expect_continue: false,
            regular: false,
            size: 0,
            limit,
            malformed: None,
        }
    }

    pub fn take(&mut self, field: Field, size: usize) {
        self.size += size;
        // What is too much is read for the sake of the table, and dropped.
        if self.size > self.limit {
            return;
        }
        if let Err(text) = self.sort(field) {
            self.malformed.get_or_insert(text);
        }
    }

    fn sort(&mut self, field: Field) -> Result<(), &'static str> {
        let again = match field {
            Field::Regular(name, value, class) => {
                self.regular = true;
                match class {
                    Class::Plain | Class::Te => self.headers.append(name, value),
                    Class::Cookie => {
                        self.crumbs += 1;
                        self.headers.append(name, value);
                    }
                    Class::ContentLength => return note_length(&mut self.length, &value),
                    Class::Host => self.several_hosts |= self.host.replace(value).is_some(),
                    Class::Expect if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
                        self.expect_continue = true;
                    }
                    Class::Expect => self.headers.append(name, value),
                    Class::Forbidden => return Err("a field that HTTP/2 does not allow"),
                }
                return Ok(());
            }
            Field::Malformed(_) => return Err("a field that HTTP/2 does not allow"),
            Field::Status(_) => return Err("a status in a request"),
            _ if self.regular => return Err("a pseudo-header field after the others"),
            Field::Method(method) => self.method.replace(method).is_some(),
            Field::Scheme(scheme) => self.scheme.replace(scheme).is_some(),
            Field::Authority(authority) => self.authority.replace(authority).is_some(),
            Field::Path(path) => self.path.replace(path).is_some(),
        };
        if again { Err("a pseudo-header field twice") } else { Ok(()) }
    }

    /// `scheme` is the connection's: what the client claims is not evidence, but where it is asked for. `ended`: no content
    /// follows.
    pub fn finish(mut self, scheme: Scheme, ended: bool, asks: Asks) -> Result<Request, Refusal> {
        if let Some(text) = self.malformed {
            return Err(Refusal::Malformed(text));
        }
        if self.size > self.limit {
            return Err(Refusal::Answered(HeadError::TooLarge));
        }
        let method = self.method.take().ok_or(Refusal::Malformed("a request without a method"))?;
        if method == Method::CONNECT {
            if !asks.takes_connect {
                return Err(Refusal::Answered(HeadError::Unsupported("CONNECT is not supported")));
            }
            return self.finish_connect(scheme, ended);
        }
        let path = self.path.take().filter(|path| !path.is_empty());
        let (Some(path), Some(named)) = (path, self.scheme.take()) else {
            return Err(Refusal::Malformed("a request without a scheme or a path"));
        };
        let scheme = if asks.keeps_scheme { named_scheme(&named).map_err(Refusal::Answered)? } else { scheme };
        let kind = match self.length {
            Some(length) if ended && length > 0 => return Err(Refusal::Malformed("a length, and no content")),
            _ if ended => BodyKind::Empty,
            Some(length) => BodyKind::Length(length),
            None => BodyKind::Unknown,
        };
        let authority = self.take_authority().map_err(Refusal::Answered)?;
        let target = target(path, &method).map_err(Refusal::Answered)?;
        if self.crumbs > 1 {
            join_cookies(&mut self.headers);
        }
        let expect_continue = self.expect_continue && !kind.is_empty();
        let head = RequestHead { method, scheme, authority, target, version: Version::HTTP_2, headers: self.headers };
        Ok(Request { head, kind, expect_continue })
    }

    /// A tunnel has an authority, and neither scheme nor path (RFC 9113, 8.5). Its target is empty.
    fn finish_connect(mut self, scheme: Scheme, ended: bool) -> Result<Request, Refusal> {
        if self.scheme.is_some() || self.path.is_some() {
            return Err(Refusal::Malformed("a CONNECT request with a scheme or a path"));
        }
        if self.authority.is_none() || self.length.is_some() {
            return Err(Refusal::Malformed("a CONNECT request without an authority, or with a length"));
        }
        let authority = self.take_authority().map_err(Refusal::Answered)?;
        let kind = if ended { BodyKind::Empty } else { BodyKind::Unknown };
        let (method, target, version) = (Method::CONNECT, Bytes::new(), Version::HTTP_2);
        let head = RequestHead { method, scheme, authority, target, version, headers: self.headers };
        Ok(Request { head, kind, expect_continue: false })
    }

    fn take_authority(&mut self) -> Result<HeaderValue, HeadError> {
        if self.several_hosts {
            return Err(HeadError::Malformed("more than one Host is given"));
        }
        let value = match (self.authority.take(), self.host.take()) {
            (Some(named), Some(host)) if !host.as_bytes().eq_ignore_ascii_case(named.as_bytes()) => {
                return Err(HeadError::Malformed("the Host and the authority differ"));
            }
            (Some(named), _) => named,
            (None, Some(host)) => host,
            (None, None) => return Err(HeadError::Malformed("no authority is given")),
        };
        value.to_str().ok().and_then(authority::split).ok_or(HeadError::Malformed("the authority is not valid"))?;
        Ok(value)
    }
}

/// Takes a length in; several have to be equal (RFC 9110, 8.6).
pub(super) fn note_length(known: &mut Option<u64>, value: &HeaderValue) -> Result<(), &'static str> {
    let length = content_length(value.as_bytes()).ok_or("a length that is not a number")?;
    match known.replace(length) {
        Some(other) if other != length => Err("several lengths that differ"),
        _ => Ok(()),
    }
}

fn named_scheme(name: &[u8]) -> Result<Scheme, HeadError> {
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find(|scheme| name.eq_ignore_ascii_case(scheme.as_str().as_bytes()))
        .ok_or(HeadError::Malformed("a scheme other than http and https"))
}

fn target(path: Bytes, method: &Method) -> Result<Bytes, HeadError> {
    if path == "*" && *method == Method::OPTIONS {
        return Ok(path);
    }
    match normalize(&path) {
        Ok(Normalized::Unchanged) => Ok(path),
        Ok(Normalized::Changed(target)) => Ok(target),
        Err(error) => Err(HeadError::Malformed(error.0)),
    }
}

/// A cookie list may come in several fields, and must be one outside HTTP/2 (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut Headers) {
    let crumbs: Vec<&[u8]> = headers.get_all(&COOKIE).map(HeaderValue::as_bytes).collect();
    // Parts of valid values, joined by visible characters.
    if let Ok(cookies) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
        headers.set(COOKIE, cookies);
    }
}
