//! Response heads (RFC 9112, 4 and 6.3).

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, StatusCode, Version};

use super::head::{Head, is_other_version};
use super::list::FieldList;
use super::{Framing, HeadError, HeadLimits, HeadReader};
use crate::ResponseHead;
use crate::fields::holds_control;

/// A response head, and what its connection fields said.
///
/// `head.headers` holds `content-length` only where it tells what the content would have been: answers to HEAD, and 304.
#[derive(Clone, Debug)]
pub struct ParsedResponse {
    pub head: ResponseHead,
    pub framing: Framing,
    pub keep_alive: bool,
    /// The protocol that a 101 switches to.
    pub upgrade: Option<HeaderValue>,
}

/// Takes the head of the response to a `method` request off the front of `buffer`; `None` when it is not complete yet.
pub fn parse_response(
    buffer: &mut BytesMut,
    method: &Method,
    limits: &HeadLimits,
) -> Result<Option<ParsedResponse>, HeadError> {
    HeadReader::new().response(buffer, method, limits)
}

pub(super) fn parse(mut head: Head<'_>, method: &Method) -> Result<ParsedResponse, HeadError> {
    let (status, version) = status_line(head.first_line()).map_err(|error| head.bad_first_line(error))?;
    let mut fields = FieldList::read(&mut head)?;
    if fields.host.is_some() {
        return Err(HeadError::Malformed("a response has a Host"));
    }
    if fields.chunked && version == Version::HTTP_10 {
        return Err(HeadError::Malformed("Transfer-Encoding is given in an HTTP/1.0 message"));
    }
    let framing = framing(&fields, status, method);
    let persistent = fields.keeps_alive(version);
    let length_told = fields.content_length.filter(|_| framing == Framing::None && !has_no_length(status));
    let upgrade = if status == StatusCode::SWITCHING_PROTOCOLS { fields.take_upgrade(head.text.bytes()) } else { None };
    let mut headers = fields.into_headers(head.text);
    if let Some(length) = length_told {
        headers.append(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(ParsedResponse {
        framing,
        keep_alive: persistent && framing != Framing::UntilClose,
        upgrade,
        head: ResponseHead { status, headers },
    })
}

fn status_line(line: &[u8]) -> Result<(StatusCode, Version), HeadError> {
    const MALFORMED: HeadError = HeadError::Malformed("the status line is malformed");
    let (version, rest) = match line.split_at_checked(b"HTTP/1.1".len()) {
        Some((b"HTTP/1.1", rest)) => (Version::HTTP_11, rest),
        Some((b"HTTP/1.0", rest)) => (Version::HTTP_10, rest),
        Some((word, _)) if is_other_version(word) => return Err(HeadError::UnsupportedVersion),
        _ if line.is_empty() => return Err(MALFORMED),
        _ => return Err(HeadError::Malformed("the first line of the head is malformed")),
    };
    // A space, three digits, and another space before the reason, if there is one.
    let (code, reason) = rest.split_at_checked(4).ok_or(MALFORMED)?;
    if code[0] != b' ' || !matches!(reason.first(), None | Some(b' ')) || holds_control(reason) {
        return Err(MALFORMED);
    }
    let status =
        StatusCode::from_bytes(&code[1..]).map_err(|_| HeadError::Malformed("the status code is not valid"))?;
    Ok((status, version))
}

/// Neither has a length, whatever its head says.
fn has_no_length(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT
}

fn framing(fields: &FieldList, status: StatusCode, method: &Method) -> Framing {
    if has_no_length(status) || *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        return Framing::None;
    }
    match fields.content_length {
        _ if fields.chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    }
}
