//! Finding and tokenising a head: what requests and responses share (RFC 9112, 2.2 and 5).
//!
//! The end of the head is found line by line, so that every line end is checked before anything else looks at the text,
//! and bytes that were looked at once are not looked at again when more arrive.

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode};

use super::{ForwardRequest, ParsedRequest, ParsedResponse, forward, request, response};
use crate::Scheme;
use crate::headers::Lent;

/// Heads seldom have more lines; what an odd one took is given back.
const MOST_LINES_KEPT: usize = 64;

/// Bounds of one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    pub max_bytes: usize,
    pub max_headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024, max_headers: 100 }
    }
}

/// Why a head is refused. The texts are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    Malformed(&'static str),
    TooLarge,
    UnsupportedVersion,
    Unsupported(&'static str),
}

impl HeadError {
    /// The answer that a client which sent such a head gets.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::Malformed(text) | Self::Unsupported(text) => text,
            Self::TooLarge => "the head is larger than allowed",
            Self::UnsupportedVersion => "the HTTP version is not supported",
        }
    }
}

impl std::fmt::Display for HeadError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.text())
    }
}

impl std::error::Error for HeadError {}

/// Reads heads from one connection; remembers how far the buffer was searched.
#[derive(Debug, Default)]
pub struct HeadReader {
    searched: usize,
    line_start: usize,
    /// Where each line that was found ends, its line end included.
    line_ends: Vec<u32>,
    skipped_empty_line: bool,
}

impl HeadReader {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a request head off the front of `buffer`; `None` when it is not complete yet.
    pub fn request(
        &mut self,
        buffer: &mut BytesMut,
        limits: &HeadLimits,
        scheme: Scheme,
    ) -> Result<Option<ParsedRequest>, HeadError> {
        if self.begins_short(buffer) {
            return Ok(None);
        }
        self.take(buffer, limits, |head| request::parse(head, scheme))
    }

    /// The same for a request to a forward proxy.
    pub fn forward_request(
        &mut self,
        buffer: &mut BytesMut,
        limits: &HeadLimits,
    ) -> Result<Option<ForwardRequest>, HeadError> {
        if self.begins_short(buffer) {
            return Ok(None);
        }
        self.take(buffer, limits, forward::parse)
    }

    /// A client may send one empty line too many after the content of its last request (RFC 9112, 2.2). True when
    /// another byte decides.
    #[inline]
    fn begins_short(&mut self, buffer: &mut BytesMut) -> bool {
        if !self.skipped_empty_line && self.searched == 0 {
            match buffer[..] {
                [b'\r', b'\n', ..] => {
                    buffer.advance(2);
                    self.skipped_empty_line = true;
                }
                [b'\r'] => return true,
                _ => {}
            }
        }
        false
    }

    /// Takes a response head off the front of `buffer`; `method` is the request's.
    pub fn response(
        &mut self,
        buffer: &mut BytesMut,
        method: &Method,
        limits: &HeadLimits,
    ) -> Result<Option<ParsedResponse>, HeadError> {
        self.take(buffer, limits, |head| response::parse(head, method))
    }

    fn take<T>(
        &mut self,
        buffer: &mut BytesMut,
        limits: &HeadLimits,
        parse: impl FnOnce(Head<'_>) -> Result<T, HeadError>,
    ) -> Result<Option<T>, HeadError> {
        let Some(end) = self.find_end(buffer, limits.max_bytes)? else {
            return Ok(None);
        };
        // Copied: sharing the buffer would cost more than the few hundred bytes that heads usually have.
        let mut text = Lent::take();
        text.bytes_mut().extend_from_slice(&buffer[..end]);
        buffer.advance(end);
        let head = Head { text, line_ends: &self.line_ends };
        let parsed = if head.fields() > limits.max_headers { Err(HeadError::TooLarge) } else { parse(head) };
        self.start_over();
        parsed.map(Some)
    }

    fn start_over(&mut self) {
        let mut line_ends = std::mem::take(&mut self.line_ends);
        line_ends.clear();
        line_ends.shrink_to(MOST_LINES_KEPT);
        *self = Self { line_ends, ..Self::default() };
    }

    fn find_end(&mut self, buffer: &[u8], max_bytes: usize) -> Result<Option<usize>, HeadError> {
        let visible = &buffer[..buffer.len().min(max_bytes)];
        while let Some(offset) = memchr::memchr(b'\n', &visible[self.searched..]) {
            let newline = self.searched + offset;
            if newline == 0 || visible[newline - 1] != b'\r' {
                return Err(HeadError::Malformed("a line of the head ends in a bare LF"));
            }
            let empty_line = newline - 1 == self.line_start;
            self.line_ends.push(newline as u32 + 1);
            self.searched = newline + 1;
            self.line_start = newline + 1;
            if empty_line {
                return Ok(Some(newline + 1));
            }
        }
        self.searched = visible.len();
        if buffer.len() >= max_bytes { Err(HeadError::TooLarge) } else { Ok(None) }
    }
}

/// A complete head, its end included, and where its lines end. Every line ends in CRLF, and the last one is empty.
pub(super) struct Head<'a> {
    pub text: Lent,
    pub line_ends: &'a [u32],
}

impl Head<'_> {
    /// Besides the fields there are the first line and the empty one.
    pub fn fields(&self) -> usize {
        self.line_ends.len().saturating_sub(2)
    }

    /// The first line, its end left out. In a head with nothing else it is the empty one.
    pub fn first_line(&self) -> &[u8] {
        &self.text.bytes()[..self.line_ends.first().map_or(0, |end| *end as usize - 2)]
    }

    /// Names the fault where a field's line is not one.
    pub fn bad_field(&self) -> HeadError {
        diagnose_bytes(self.text.bytes()).unwrap_or(HeadError::Malformed(diagnose_field_line(self.text.bytes())))
    }

    /// Names the fault of the first line; `otherwise` when its bytes are in order.
    pub fn bad_first_line(&self, otherwise: HeadError) -> HeadError {
        diagnose_bytes(self.text.bytes()).unwrap_or(otherwise)
    }
}

/// Names a byte that has no place in a head.
fn diagnose_bytes(head: &[u8]) -> Option<HeadError> {
    let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r');
    let bad_line = head.split(|byte| *byte == b'\n').position(|line| line.iter().any(is_control));
    let bad_value = |line: &[u8]| line.iter().skip_while(|byte| **byte != b':').any(is_control);
    Some(HeadError::Malformed(match bad_line {
        _ if head.contains(&0) => "the head holds a NUL byte",
        _ if has_bare_carriage_return(head) => "the head holds a bare CR",
        None => return None,
        Some(0) => "the first line of the head is malformed",
        Some(_) if head.split(|byte| *byte == b'\n').skip(1).any(bad_value) => "a field value holds a control byte",
        Some(_) => diagnose_field_line(head),
    }))
}

fn has_bare_carriage_return(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', head).any(|index| head.get(index + 1) != Some(&b'\n'))
}

/// Whether a word names a version of HTTP that is not spoken here.
pub(super) fn is_other_version(word: &[u8]) -> bool {
    match word {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] => {
            major.is_ascii_digit() && minor.is_ascii_digit() && (*major != b'1' || *minor > b'1')
        }
        _ => false,
    }
}

/// Names the fault in a head of which some line is not a field.
fn diagnose_field_line(head: &[u8]) -> &'static str {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for line in lines {
        match line.first() {
            Some(b' ' | b'\t') => return "a field line is folded",
            Some(b'\r') | None => break,
            Some(_) => {}
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or(line);
        if name.len() == line.len() {
            return "a field line has no colon";
        }
        if matches!(name.last(), Some(b' ' | b'\t')) {
            return "a field name is followed by white space";
        }
    }
    "a field name is not a token"
}
