//! Request heads (RFC 9112, 3 and 6.3).

use bytes::{Bytes, BytesMut};
use http::header::HeaderValue;
use http::{Method, Version};
use httparse::Status;

use super::head::{FieldSlot, Head, STACK_FIELDS, diagnose, slots};
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

pub(super) fn parse(head: &Head, scheme: Scheme) -> Result<ParsedRequest, HeadError> {
    let text = &head.text;
    let mut stack = [const { FieldSlot::uninit() }; STACK_FIELDS];
    let mut heap = Vec::new();
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(text, slots(head.fields, &mut stack, &mut heap)) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(HeadError::Malformed("the first line of the head is malformed")),
        Err(error) => return Err(diagnose(text, error)),
    }
    let version = if request.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut fields = FieldList::read(text, request.headers)?;
    let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
        .map_err(|_| HeadError::Malformed("the method is not a token"))?;
    let (target, from_target) = target(text, request.path.unwrap_or_default(), &method)?;
    let framing = framing(&fields, version)?;
    let host = host(fields.host.take(), version)?;
    let upgrade = fields.take_upgrade().filter(|_| framing.is_empty() && version == Version::HTTP_11);
    Ok(ParsedRequest {
        framing,
        keep_alive: if version == Version::HTTP_10 { fields.keep_alive && !fields.close } else { !fields.close },
        expect_continue: fields.expect_continue && version == Version::HTTP_11 && !framing.is_empty(),
        upgrade,
        head: RequestHead {
            method,
            scheme,
            authority: from_target.unwrap_or(host),
            target,
            version,
            headers: fields.headers,
        },
    })
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

fn host(host: Option<HeaderValue>, version: Version) -> Result<HeaderValue, HeadError> {
    match host {
        Some(host) => {
            host.to_str()
                .ok()
                .and_then(authority::split)
                .ok_or(HeadError::Malformed("the Host is not a valid authority"))?;
            Ok(host)
        }
        None if version == Version::HTTP_10 => Ok(HeaderValue::from_static("")),
        None => Err(HeadError::Malformed("no Host is given")),
    }
}

/// The target in origin form, and the authority when the target named one.
fn target(head: &Bytes, target: &str, method: &Method) -> Result<(Bytes, Option<HeaderValue>), HeadError> {
    if *method == Method::CONNECT {
        return Err(HeadError::Unsupported("CONNECT is not supported"));
    }
    if target.starts_with('/') {
        return Ok((normal(head, target)?, None));
    }
    if target == "*" {
        if *method != Method::OPTIONS {
            return Err(HeadError::Malformed("the target is an asterisk and the method is not OPTIONS"));
        }
        return Ok((head.slice_ref(target.as_bytes()), None));
    }
    let rest = after_scheme(target).ok_or(HeadError::Malformed("the request target is not an absolute path"))?;
    let (named, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    authority::split(named).ok_or(HeadError::Malformed("the request target has no valid authority"))?;
    let authority = HeaderValue::from_maybe_shared(head.slice_ref(named.as_bytes()))
        .map_err(|_| HeadError::Malformed("the request target has no valid authority"))?;
    let target = match path {
        "" if *method == Method::OPTIONS => Bytes::from_static(b"*"),
        "" => Bytes::from_static(b"/"),
        _ if path.starts_with('/') => normal(head, path)?,
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

fn normal(head: &Bytes, target: &str) -> Result<Bytes, HeadError> {
    match normalize(target.as_bytes()) {
        Ok(Normalized::Unchanged) => Ok(head.slice_ref(target.as_bytes())),
        Ok(Normalized::Changed(target)) => Ok(target),
        Err(error) => Err(HeadError::Malformed(error.0)),
    }
}
