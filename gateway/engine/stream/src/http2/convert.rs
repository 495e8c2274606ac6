//! Heads between HTTP/2 and ours: pseudo-header fields (RFC 9113, 8.3), cookie crumbs (8.2.3), and the length.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, TE};
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode, Version};
use sekisho_codec::fields::{content_length, is_connection_specific};
use sekisho_codec::http1::HeadError;
use sekisho_codec::target::{Normalized, normalize};
use sekisho_codec::{Headers, RequestHead, ResponseHead, Scheme, authority};

use crate::{BodyKind, StreamError};

/// A request as the rest of the engine knows it. `scheme` is the connection's: what the client claims is not evidence.
pub(super) fn request(parts: Parts, scheme: Scheme) -> Result<RequestHead, HeadError> {
    if parts.method == Method::CONNECT {
        return Err(HeadError::Unsupported("CONNECT is not supported"));
    }
    let mut map = parts.headers;
    let authority = take_authority(&parts.uri, &mut map)?;
    let target = target(&parts.uri, &parts.method)?;
    join_cookies(&mut map);
    Ok(RequestHead {
        method: parts.method,
        scheme,
        authority,
        target,
        version: Version::HTTP_2,
        headers: Headers::from_map(map),
    })
}

fn take_authority(uri: &Uri, map: &mut HeaderMap) -> Result<HeaderValue, HeadError> {
    if map.get_all(HOST).iter().nth(1).is_some() {
        return Err(HeadError::Malformed("more than one Host is given"));
    }
    let host = map.remove(HOST);
    let named = uri.authority().map(Authority::as_str);
    let value = match (named, host) {
        (Some(named), Some(host)) if !host.as_bytes().eq_ignore_ascii_case(named.as_bytes()) => {
            return Err(HeadError::Malformed("the Host and the authority differ"));
        }
        (Some(named), _) => {
            HeaderValue::from_str(named).map_err(|_| HeadError::Malformed("the authority is not valid"))?
        }
        (None, Some(host)) => host,
        (None, None) => return Err(HeadError::Malformed("no authority is given")),
    };
    value.to_str().ok().and_then(authority::split).ok_or(HeadError::Malformed("the authority is not valid"))?;
    Ok(value)
}

fn target(uri: &Uri, method: &Method) -> Result<Bytes, HeadError> {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if target == "*" && *method == Method::OPTIONS {
        return Ok(Bytes::from_static(b"*"));
    }
    match normalize(target.as_bytes()) {
        Ok(Normalized::Unchanged) => Ok(Bytes::copy_from_slice(target.as_bytes())),
        Ok(Normalized::Changed(target)) => Ok(target),
        Err(error) => Err(HeadError::Malformed(error.0)),
    }
}

/// A cookie list may come in several fields, and must be one outside HTTP/2.
fn join_cookies(map: &mut HeaderMap) {
    if map.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = map.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Parts of valid values, joined by visible characters.
    if let Ok(cookies) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
        map.insert(COOKIE, cookies);
    }
}

/// Takes the length out of the fields: it says how much content follows, unless none does.
pub(super) fn take_body_kind(headers: &mut Headers, ended: bool) -> Result<BodyKind, HeadError> {
    if ended && !headers.contains(&CONTENT_LENGTH) {
        return Ok(BodyKind::Empty);
    }
    let mut length = None;
    for value in headers.get_all(&CONTENT_LENGTH) {
        let one = content_length(value.as_bytes()).ok_or(HeadError::Malformed("the Content-Length is not a number"))?;
        if length.replace(one).is_some_and(|other| other != one) {
            return Err(HeadError::Malformed("several Content-Length values differ"));
        }
    }
    headers.remove(&CONTENT_LENGTH);
    match (ended, length) {
        (true, _) => Ok(BodyKind::Empty),
        (false, Some(length)) => Ok(BodyKind::Length(length)),
        (false, None) => Ok(BodyKind::Unknown),
    }
}

/// True when the client waits for leave to send its content.
pub(super) fn take_expect_continue(headers: &mut Headers) -> bool {
    let expected = headers.get(&EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    expected && headers.remove(&EXPECT)
}

/// A response as the rest of the engine knows it. A length that describes content which is not sent stays in the fields.
pub(super) fn response(
    parts: http::response::Parts,
    head_request: bool,
    ended: bool,
) -> Result<(ResponseHead, BodyKind), HeadError> {
    let status = parts.status;
    let mut headers = Headers::from_map(parts.headers);
    let kind = if ended && (head_request || status == StatusCode::NOT_MODIFIED) {
        BodyKind::Empty
    } else {
        take_body_kind(&mut headers, ended || status.is_informational())?
    };
    Ok((ResponseHead { status, headers }, kind))
}

pub(super) fn to_request(head: &RequestHead, kind: BodyKind) -> Result<Request<()>, StreamError> {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(match head.scheme {
        Scheme::Http => uri::Scheme::HTTP,
        Scheme::Https => uri::Scheme::HTTPS,
    });
    let authority = Authority::try_from(head.authority.as_bytes())
        .map_err(|_| StreamError::protocol("the request has no authority that HTTP/2 can carry"))?;
    parts.authority = Some(authority);
    parts.path_and_query = Some(path_and_query(&head.target)?);
    let mut request = Request::new(());
    *request.uri_mut() =
        Uri::from_parts(parts).map_err(|_| StreamError::protocol("the request has no target that HTTP/2 can carry"))?;
    *request.method_mut() = head.method.clone();
    *request.version_mut() = Version::HTTP_2;
    let mut map = fields(head.headers.clone());
    if let BodyKind::Length(length) = kind {
        map.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *request.headers_mut() = map;
    Ok(request)
}

/// Targets that HTTP/1 lets pass may hold characters which belong escaped.
fn path_and_query(target: &Bytes) -> Result<PathAndQuery, StreamError> {
    if let Ok(target) = PathAndQuery::from_maybe_shared(target.clone()) {
        return Ok(target);
    }
    let mut escaped = String::with_capacity(target.len() + 8);
    for byte in target.iter() {
        match byte {
            b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'^' | b'\\' => escaped.push_str(&format!("%{byte:02X}")),
            _ => escaped.push(char::from(*byte)),
        }
    }
    PathAndQuery::try_from(escaped)
        .map_err(|_| StreamError::protocol("the request has no target that HTTP/2 can carry"))
}

/// `metadata` keeps a length that the fields hold: it describes content that is not sent.
pub(super) fn to_response(head: &ResponseHead, kind: BodyKind, metadata: bool) -> Response<()> {
    let described = head.headers.get(&CONTENT_LENGTH).filter(|_| metadata).cloned();
    let mut map = fields(head.headers.clone());
    let bodiless = head.status.is_informational() || head.status == StatusCode::NO_CONTENT;
    match (kind, described) {
        (BodyKind::Length(length), _) if !bodiless && head.status != StatusCode::NOT_MODIFIED => {
            map.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        (_, Some(length)) if !bodiless => {
            map.insert(CONTENT_LENGTH, length);
        }
        _ => {}
    }
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.headers_mut() = map;
    response
}

/// Fields that HTTP/2 may carry: nothing that belongs to one HTTP/1 connection, and no length but the one that is known.
pub(super) fn fields(headers: Headers) -> HeaderMap {
    let mut headers = headers;
    headers.retain(|name, value| {
        let odd_te = name == TE && value != "trailers";
        !is_connection_specific(name) && !odd_te && name != CONTENT_LENGTH && name != HOST
    });
    headers.into_map()
}
