//! Request heads (RFC 9112, 3 and 6.3).

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::HeaderValue;
use http::{Method, Version};

use super::head::{Head, is_other_version};
use super::list::FieldList;
use super::{Framing, HeadError, HeadLimits, HeadReader};
use crate::target::{Normalized, normalize};
use crate::{RequestHead, Scheme, authority};

/// A request head, and what its connection fields said.
#[derive(Clone, Debug)]
pub struct ParsedRequest {
    pub head: RequestHead,
    pub framing: Framing,
    pub keep_alive: bool,
    pub expect_continue: bool,
    /// The protocols that the client asks to switch to; `None` when the request has content.
    pub upgrade: Option<HeaderValue>,
}

/// Takes a request head off the front of `buffer`, and leaves what follows it; `None` when it is not complete yet.
/// `HeadReader` does the same without looking again at bytes that it has seen.
pub fn parse_request(
    buffer: &mut BytesMut,
    limits: &HeadLimits,
    scheme: Scheme,
) -> Result<Option<ParsedRequest>, HeadError> {
    HeadReader::new().request(buffer, limits, scheme)
}

pub(super) fn parse(head: Head<'_>, scheme: Scheme) -> Result<ParsedRequest, HeadError> {
    let (request, _, ()) = parse_with(head, scheme, |text, method| target(text, method).map(|it| (it.0, it.1, ())))?;
    Ok(request)
}

/// What a target says: its origin form, the authority that it names, and what else its reader found.
pub(super) type TargetOf<T> = Result<(Bytes, Option<HeaderValue>, T), HeadError>;

/// With the Host that is not the request's authority, because the target named one.
#[inline]
pub(super) fn parse_with<T>(
    mut head: Head<'_>,
    scheme: Scheme,
    target: impl FnOnce(&[u8], &Method) -> TargetOf<T>,
) -> Result<(ParsedRequest, Option<HeaderValue>, T), HeadError> {
    let line = request_line(head.first_line()).ok_or_else(|| head.bad_first_line(diagnose(head.first_line())))?;
    let mut fields = FieldList::read(&mut head)?;
    let bytes = head.text.bytes();
    let RequestLine { method, target: place, version } = line;
    let (target, from_target, found) = target(&bytes[place], &method)?;
    let framing = framing(&fields, version)?;
    let host = host(fields.host.take().map(|place| &bytes[place]), version)?;
    let upgrade = fields.take_upgrade(bytes).filter(|_| framing.is_empty() && version == Version::HTTP_11);
    let (authority, other_host) = match from_target {
        Some(named) => (named, Some(host)),
        None => (host, None),
    };
    let request = ParsedRequest {
        framing,
        keep_alive: fields.keeps_alive(version),
        expect_continue: fields.expect_continue && version == Version::HTTP_11 && !framing.is_empty(),
        upgrade,
        head: RequestHead { method, scheme, authority, target, version, headers: fields.into_headers(head.text) },
    };
    Ok((request, other_host, found))
}

struct RequestLine {
    method: Method,
    /// Not empty, and without white space or control bytes.
    target: Range<usize>,
    version: Version,
}

fn request_line(line: &[u8]) -> Option<RequestLine> {
    let (rest, version) = match line.strip_suffix(b" HTTP/1.1") {
        Some(rest) => (rest, Version::HTTP_11),
        None => (line.strip_suffix(b" HTTP/1.0")?, Version::HTTP_10),
    };
    let space = memchr::memchr(b' ', rest)?;
    let target = space + 1..rest.len();
    // What is not ASCII is refused where the target is brought to its one spelling.
    let is_visible = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    let bytes = &rest[target.clone()];
    if bytes.is_empty() || !bytes.iter().all(is_visible) || std::str::from_utf8(bytes).is_err() {
        return None;
    }
    Some(RequestLine { method: Method::from_bytes(&rest[..space]).ok()?, target, version })
}

fn diagnose(line: &[u8]) -> HeadError {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let is_method = method.is_some_and(|method| Method::from_bytes(method).is_ok());
    let has_target = target.is_some_and(|target| !target.is_empty());
    if is_method && has_target && version.is_some_and(is_other_version) && words.next().is_none() {
        return HeadError::UnsupportedVersion;
    }
    HeadError::Malformed("the first line of the head is malformed")
}

fn framing(fields: &FieldList, version: Version) -> Result<Framing, HeadError> {
    match (fields.chunked, fields.content_length) {
        (true, _) if version == Version::HTTP_10 => {
            Err(HeadError::Malformed("Transfer-Encoding is given in an HTTP/1.0 message"))
        }
        (true, _) => Ok(Framing::Chunked),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::None),
    }
}

fn host(host: Option<&[u8]>, version: Version) -> Result<HeaderValue, HeadError> {
    const INVALID: HeadError = HeadError::Malformed("the Host is not a valid authority");
    match host {
        Some(host) => {
            std::str::from_utf8(host).ok().and_then(authority::split).ok_or(INVALID)?;
            HeaderValue::from_bytes(host).map_err(|_| INVALID)
        }
        None if version == Version::HTTP_10 => Ok(HeaderValue::from_static("")),
        None => Err(HeadError::Malformed("no Host is given")),
    }
}

/// The target in origin form, and the authority when the target named one.
pub(super) fn target(target: &[u8], method: &Method) -> Result<(Bytes, Option<HeaderValue>), HeadError> {
    let target = std::str::from_utf8(target).unwrap_or_default();
    if *method == Method::CONNECT {
        return Err(HeadError::Unsupported("CONNECT is not supported"));
    }
    if target.starts_with('/') {
        return Ok((normal(target)?, None));
    }
    if target == "*" {
        if *method != Method::OPTIONS {
            return Err(HeadError::Malformed("the target is an asterisk and the method is not OPTIONS"));
        }
        return Ok((Bytes::from_static(b"*"), None));
    }
    let rest = after_scheme(target).ok_or(HeadError::Malformed("the request target is not an absolute path"))?;
    let (named, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    authority::split(named).ok_or(HeadError::Malformed("the request target has no valid authority"))?;
    let authority =
        HeaderValue::from_str(named).map_err(|_| HeadError::Malformed("the request target has no valid authority"))?;
    let target = match path {
        "" if *method == Method::OPTIONS => Bytes::from_static(b"*"),
        "" => Bytes::from_static(b"/"),
        _ if path.starts_with('/') => normal(path)?,
        _ => {
            let rooted = Bytes::from(format!("/{path}"));
            normalize(&rooted).map_err(|error| HeadError::Malformed(error.0))?;
            rooted
        }
    };
    Ok((target, Some(authority)))
}

fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

fn normal(target: &str) -> Result<Bytes, HeadError> {
    if target == "/" {
        return Ok(Bytes::from_static(b"/"));
    }
    match normalize(target.as_bytes()) {
        Ok(Normalized::Unchanged) => Ok(Bytes::copy_from_slice(target.as_bytes())),
        Ok(Normalized::Changed(target)) => Ok(target),
        Err(error) => Err(HeadError::Malformed(error.0)),
    }
}
