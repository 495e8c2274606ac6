//! Finding and tokenising a head: what requests and responses share (RFC 9112, 2.2 and 5).
//!
//! The end of the head is found line by line, so every line end is checked before the tokeniser (which would take a bare
//! LF) sees the text, and bytes that were looked at once are not looked at again when more arrive.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use httparse::Header;

use super::{ParsedRequest, ParsedResponse, request, response};
use crate::Scheme;

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
    lines: usize,
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
        // A client may send one empty line too many after the content of its last request (RFC 9112, 2.2).
        if !self.skipped_empty_line && self.searched == 0 {
            match buffer[..] {
                [b'\r', b'\n', ..] => {
                    bytes::Buf::advance(buffer, 2);
                    self.skipped_empty_line = true;
                }
                [b'\r'] => return Ok(None),
                _ => {}
            }
        }
        match self.take(buffer, limits)? {
            None => Ok(None),
            Some(head) => request::parse(&head, scheme).map(Some),
        }
    }

    /// Takes a response head off the front of `buffer`; `method` is the request's.
    pub fn response(
        &mut self,
        buffer: &mut BytesMut,
        method: &Method,
        limits: &HeadLimits,
    ) -> Result<Option<ParsedResponse>, HeadError> {
        match self.take(buffer, limits)? {
            None => Ok(None),
            Some(head) => response::parse(&head, method).map(Some),
        }
    }

    fn take(&mut self, buffer: &mut BytesMut, limits: &HeadLimits) -> Result<Option<Head>, HeadError> {
        let Some(end) = self.find_end(buffer, limits.max_bytes)? else {
            return Ok(None);
        };
        // Besides the fields there are the first line and the empty one.
        let fields = self.lines.saturating_sub(2);
        *self = Self::default();
        if fields > limits.max_headers {
            return Err(HeadError::TooLarge);
        }
        Ok(Some(Head { text: buffer.split_to(end).freeze(), fields }))
    }

    fn find_end(&mut self, buffer: &[u8], max_bytes: usize) -> Result<Option<usize>, HeadError> {
        let visible = &buffer[..buffer.len().min(max_bytes)];
        while let Some(offset) = memchr::memchr(b'\n', &visible[self.searched..]) {
            let newline = self.searched + offset;
            if newline == 0 || visible[newline - 1] != b'\r' {
                return Err(HeadError::Malformed("a line of the head ends in a bare LF"));
            }
            let empty_line = newline - 1 == self.line_start;
            self.lines += 1;
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

/// A complete head, its end included, and how many fields it has.
pub(super) struct Head {
    pub text: Bytes,
    pub fields: usize,
}

/// Most heads have fewer fields than this, and are tokenised without allocating.
pub(super) const STACK_FIELDS: usize = 32;

pub(super) type FieldSlot<'a> = MaybeUninit<Header<'a>>;

/// Room for the fields of one head: on the stack when they fit.
pub(super) fn slots<'s, 'head>(
    fields: usize,
    stack: &'s mut [FieldSlot<'head>; STACK_FIELDS],
    heap: &'s mut Vec<FieldSlot<'head>>,
) -> &'s mut [FieldSlot<'head>] {
    if fields <= STACK_FIELDS {
        return stack;
    }
    heap.resize_with(fields, FieldSlot::uninit);
    heap
}

/// Names the fault in a head that the tokeniser refused.
pub(super) fn diagnose(head: &[u8], error: httparse::Error) -> HeadError {
    let text = match error {
        httparse::Error::TooManyHeaders => return HeadError::TooLarge,
        httparse::Error::Version => return diagnose_version(head),
        _ if head.contains(&0) => "the head holds a NUL byte",
        _ if has_bare_carriage_return(head) => "the head holds a bare CR",
        httparse::Error::HeaderName => diagnose_field_line(head),
        httparse::Error::HeaderValue => "a field value holds a control byte",
        httparse::Error::Status => "the status line is malformed",
        httparse::Error::Token | httparse::Error::NewLine => "the first line of the head is malformed",
    };
    HeadError::Malformed(text)
}

fn has_bare_carriage_return(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', head).any(|index| head.get(index + 1) != Some(&b'\n'))
}

fn diagnose_version(head: &[u8]) -> HeadError {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or(head);
    let other_version = |word: &[u8]| match word {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] => {
            major.is_ascii_digit() && minor.is_ascii_digit() && (*major != b'1' || *minor > b'1')
        }
        _ => false,
    };
    let named = line.split(|byte| *byte == b' ').any(other_version);
    if named { HeadError::UnsupportedVersion } else { HeadError::Malformed("the first line of the head is malformed") }
}

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
