//! Response heads (RFC 9112, 4 and 6.3).

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, StatusCode, Version};
use httparse::Status;

use super::head::{FieldSlot, Head, STACK_FIELDS, diagnose, slots};
use super::list::FieldList;
use super::{Framing, HeadError, HeadLimits, HeadReader};
use crate::ResponseHead;

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

pub(super) fn parse(head: &Head, method: &Method) -> Result<ParsedResponse, HeadError> {
    let text = &head.text;
    let mut stack = [const { FieldSlot::uninit() }; STACK_FIELDS];
    let mut heap = Vec::new();
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let slots = slots(head.fields, &mut stack, &mut heap);
    match config.parse_response_with_uninit_headers(&mut response, text, slots) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(HeadError::Malformed("the status line is malformed")),
        Err(error) => return Err(diagnose(text, error)),
    }
    let status = StatusCode::from_u16(response.code.unwrap_or_default())
        .map_err(|_| HeadError::Malformed("the status code is not valid"))?;
    let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut fields = FieldList::read(text, response.headers)?;
    if fields.host.is_some() {
        return Err(HeadError::Malformed("a response has a Host"));
    }
    if fields.chunked && version == Version::HTTP_10 {
        return Err(HeadError::Malformed("Transfer-Encoding is given in an HTTP/1.0 message"));
    }
    let framing = framing(&mut fields, status, method);
    let persistent = if version == Version::HTTP_10 { fields.keep_alive && !fields.close } else { !fields.close };
    let upgrade = if status == StatusCode::SWITCHING_PROTOCOLS { fields.take_upgrade() } else { None };
    Ok(ParsedResponse {
        framing,
        keep_alive: persistent && framing != Framing::UntilClose,
        upgrade,
        head: ResponseHead { status, headers: fields.headers },
    })
}

fn framing(fields: &mut FieldList, status: StatusCode, method: &Method) -> Framing {
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        return Framing::None;
    }
    if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        if let Some(length) = fields.content_length {
            fields.headers.append(CONTENT_LENGTH, HeaderValue::from(length));
        }
        return Framing::None;
    }
    match fields.content_length {
        _ if fields.chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    }
}
