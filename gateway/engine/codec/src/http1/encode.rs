//! Writing heads and content (RFC 9112, 3, 4, 6 and 7).
//!
//! Whatever a header list says about framing or the connection is not written: these lines come from the arguments, so
//! that a message is never longer or shorter for the peer than it is for us.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderValue, TE};
use http::{Method, StatusCode, Version};

use super::Framing;
use crate::fields::names_encoders_own;
use crate::{Headers, RequestHead, ResponseHead};

/// Room for the first line and the lines that the encoder adds.
const FIXED_LINES: usize = 160;

/// Content that does not fit the length that the head declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    TooMuch,
    TooLittle,
}

impl EncodeError {
    pub fn text(self) -> &'static str {
        match self {
            Self::TooMuch => "the content is longer than its Content-Length",
            Self::TooLittle => "the content is shorter than its Content-Length",
        }
    }
}

impl std::fmt::Display for EncodeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.text())
    }
}

impl std::error::Error for EncodeError {}

/// Writes a request head. `upgrade` asks to switch protocols.
pub fn write_request(head: &RequestHead, framing: &Framing, upgrade: Option<&HeaderValue>, out: &mut BytesMut) {
    reserve(&head.headers, head.target.len() + head.authority.len(), out);
    out.put_slice(head.method.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(&head.target);
    out.put_slice(b" HTTP/1.1\r\nhost: ");
    out.put_slice(head.authority.as_bytes());
    out.put_slice(b"\r\n");
    write_fields(&head.headers, out);
    match framing {
        Framing::None if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) => {
            out.put_slice(b"content-length: 0\r\n");
        }
        // A request cannot end by closing; chunks are the one way to send content of unknown length.
        Framing::UntilClose | Framing::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(length) => write_length(*length, out),
        Framing::None => {}
    }
    match (upgrade, head.headers.contains(&TE)) {
        (Some(protocol), _) => write_upgrade(protocol, out),
        (None, true) => out.put_slice(b"connection: te\r\n"),
        (None, false) => {}
    }
    out.put_slice(b"\r\n");
}

/// Writes a response head; `version` is the request's. `Framing::None` writes no length, except the one that the header
/// list holds as metadata (answers to HEAD, and 304).
pub fn write_response(
    head: &ResponseHead,
    framing: &Framing,
    keep_alive: bool,
    upgrade: Option<&HeaderValue>,
    version: Version,
    out: &mut BytesMut,
) {
    reserve(&head.headers, 0, out);
    write_status_line(head.status, out);
    write_fields(&head.headers, out);
    match framing {
        Framing::Length(length) => write_length(*length, out),
        Framing::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None => write_length_metadata(head, out),
        Framing::UntilClose => {}
    }
    match (upgrade, keep_alive && *framing != Framing::UntilClose) {
        (Some(protocol), _) => write_upgrade(protocol, out),
        (None, false) => out.put_slice(b"connection: close\r\n"),
        (None, true) if version == Version::HTTP_10 => out.put_slice(b"connection: keep-alive\r\n"),
        (None, true) => {}
    }
    out.put_slice(b"\r\n");
}

/// Writes an informational response (1xx other than 101), which says nothing about the connection.
pub fn write_informational(head: &ResponseHead, out: &mut BytesMut) {
    reserve(&head.headers, 0, out);
    write_status_line(head.status, out);
    write_fields(&head.headers, out);
    out.put_slice(b"\r\n");
}

fn reserve(headers: &Headers, first_line: usize, out: &mut BytesMut) {
    out.reserve(FIXED_LINES + first_line + headers.most_bytes());
}

fn write_status_line(status: StatusCode, out: &mut BytesMut) {
    if status == StatusCode::OK {
        out.put_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

fn write_fields(headers: &Headers, out: &mut BytesMut) {
    headers.write(names_encoders_own, out);
}

fn write_length(length: u64, out: &mut BytesMut) {
    out.put_slice(b"content-length: ");
    out.put_slice(itoa::Buffer::new().format(length).as_bytes());
    out.put_slice(b"\r\n");
}

fn write_length_metadata(head: &ResponseHead, out: &mut BytesMut) {
    if head.status.is_informational() || head.status == StatusCode::NO_CONTENT {
        return;
    }
    if let Some(length) = head.headers.value(&CONTENT_LENGTH) {
        out.put_slice(b"content-length: ");
        out.put_slice(length);
        out.put_slice(b"\r\n");
    }
}

fn write_upgrade(protocol: &HeaderValue, out: &mut BytesMut) {
    out.put_slice(b"connection: upgrade\r\nupgrade: ");
    out.put_slice(protocol.as_bytes());
    out.put_slice(b"\r\n");
}

/// Writes the content of one message.
#[derive(Clone, Debug)]
pub struct BodyEncoder {
    framing: Framing,
    finished: bool,
}

impl BodyEncoder {
    pub fn new(framing: Framing) -> Self {
        Self { framing, finished: false }
    }

    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Writes what goes before `length` bytes of data; true when `end_data` is due after them. The data themselves are
    /// the caller's to write, so that they need not be copied.
    pub fn begin_data(&mut self, length: usize, out: &mut BytesMut) -> Result<bool, EncodeError> {
        if length == 0 {
            return Ok(false);
        }
        if self.finished {
            return Err(EncodeError::TooMuch);
        }
        match &mut self.framing {
            Framing::None => Err(EncodeError::TooMuch),
            Framing::UntilClose => Ok(false),
            Framing::Length(left) => {
                *left = left.checked_sub(length as u64).ok_or(EncodeError::TooMuch)?;
                Ok(false)
            }
            Framing::Chunked => {
                write_chunk_size(length, out);
                Ok(true)
            }
        }
    }

    pub fn end_data(&mut self, out: &mut BytesMut) {
        out.put_slice(b"\r\n");
    }

    /// Writes `data` by copying it.
    pub fn data(&mut self, data: &Bytes, out: &mut BytesMut) -> Result<(), EncodeError> {
        let framed = self.begin_data(data.len(), out)?;
        out.put_slice(data);
        if framed {
            self.end_data(out);
        }
        Ok(())
    }

    /// Ends the content. Trailers are written where the framing has room for them, and dropped elsewhere.
    pub fn finish(&mut self, trailers: Option<&Headers>, out: &mut BytesMut) -> Result<(), EncodeError> {
        if self.finished {
            return Ok(());
        }
        match self.framing {
            Framing::Length(left) if left > 0 => return Err(EncodeError::TooLittle),
            Framing::Chunked => {
                out.put_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    write_fields(trailers, out);
                }
                out.put_slice(b"\r\n");
            }
            Framing::Length(_) | Framing::None | Framing::UntilClose => {}
        }
        self.finished = true;
        Ok(())
    }
}

fn write_chunk_size(length: usize, out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.put_u8(DIGITS[(length >> (place * 4)) & 0xf]);
    }
    out.put_slice(b"\r\n");
}
