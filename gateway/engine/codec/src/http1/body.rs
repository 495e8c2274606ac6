//! Taking content off a buffer (RFC 9112, 6 and 7), without copying it.

use bytes::{Buf, Bytes, BytesMut};

use super::{Framing, trailers};
use crate::Headers;

/// Longest chunk-size line, extensions included.
const MAX_CHUNK_LINE: usize = 256;
/// Extension bytes allowed in one message: a sender of one-byte chunks must not send mostly extensions.
const MAX_EXTENSION_BYTES: usize = 16 * 1024;
/// Largest trailer section.
const MAX_TRAILER_BYTES: usize = 16 * 1024;
/// Sixteen digits would be exactly 64 bits; one fewer can never overflow a sum.
const MAX_SIZE_DIGITS: usize = 15;

/// Content up to this size is copied, which costs less than to share the buffer.
const COPIED: usize = 1024;

/// Why content is refused. The texts are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    Malformed(&'static str),
    /// The connection ended before the content did.
    Truncated,
}

impl BodyError {
    pub fn text(self) -> &'static str {
        match self {
            Self::Malformed(text) => text,
            Self::Truncated => "the connection ended before the content did",
        }
    }
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.text())
    }
}

impl std::error::Error for BodyError {}

/// What was taken off the buffer. After `Trailers` the content is complete, as after `End`.
#[derive(Clone, Debug)]
pub enum Decoded {
    NeedMore,
    Data(Bytes),
    Trailers(Headers),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers { searched: usize, line_start: usize },
    Done,
}

/// Reads the content of one message.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    extension_bytes: usize,
}

impl BodyDecoder {
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, extension_bytes: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How much is certain to follow, as a hint for the size of reads; 0 when the content is complete.
    pub fn remaining_hint(&self) -> u64 {
        match self.state {
            State::Length(left) | State::ChunkData(left) => left,
            State::UntilClose | State::ChunkSize | State::ChunkEnd | State::Trailers { .. } => 1,
            State::Done => 0,
        }
    }

    /// Takes the next part of the content off the front of `buffer`.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, BodyError> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                State::Length(left) => {
                    let Some(data) = take(buffer, left) else { return Ok(Decoded::NeedMore) };
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(Decoded::Data(data));
                }
                State::UntilClose => {
                    return Ok(take(buffer, u64::MAX).map_or(Decoded::NeedMore, Decoded::Data));
                }
                State::ChunkSize => match self.chunk_size(buffer)? {
                    None => return Ok(Decoded::NeedMore),
                    Some(0) => self.state = State::Trailers { searched: 0, line_start: 0 },
                    Some(size) => self.state = State::ChunkData(size),
                },
                State::ChunkData(left) => {
                    let Some(data) = take(buffer, left) else { return Ok(Decoded::NeedMore) };
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    if left == 0 {
                        self.chunk_end(buffer)?;
                    }
                    return Ok(Decoded::Data(data));
                }
                State::ChunkEnd => {
                    if !self.chunk_end(buffer)? {
                        return Ok(Decoded::NeedMore);
                    }
                }
                State::Trailers { searched, line_start } => return self.trailers(buffer, searched, line_start),
            }
        }
    }

    /// To be called when the peer closed its side and `decode` wants more.
    pub fn finish_at_eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::UntilClose | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BodyError::Truncated),
        }
    }

    /// Reads a whole chunk-size line, or nothing.
    fn chunk_size(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, BodyError> {
        let visible = &buffer[..buffer.len().min(MAX_CHUNK_LINE)];
        let Some(newline) = memchr::memchr(b'\n', visible) else {
            if buffer.len() >= MAX_CHUNK_LINE {
                return Err(BodyError::Malformed("a chunk-size line is too long"));
            }
            return Ok(None);
        };
        let line = visible[..newline]
            .strip_suffix(b"\r")
            .ok_or(BodyError::Malformed("a chunk-size line ends in a bare LF"))?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 || digits > MAX_SIZE_DIGITS {
            return Err(BodyError::Malformed("a chunk size is not valid"));
        }
        let size = line[..digits].iter().fold(0u64, |size, digit| size << 4 | u64::from(hexadecimal(*digit)));
        self.check_extension(&line[digits..])?;
        buffer.advance(newline + 1);
        Ok(Some(size))
    }

    fn check_extension(&mut self, extension: &[u8]) -> Result<(), BodyError> {
        match extension.first() {
            None => return Ok(()),
            Some(b';') => {}
            Some(_) => return Err(BodyError::Malformed("a chunk size is not valid")),
        }
        if extension.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(BodyError::Malformed("a chunk extension holds a control byte"));
        }
        self.extension_bytes += extension.len();
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(BodyError::Malformed("the chunk extensions are too long"));
        }
        Ok(())
    }

    /// Takes the CRLF after a chunk's data; true when it was there.
    fn chunk_end(&mut self, buffer: &mut BytesMut) -> Result<bool, BodyError> {
        match buffer[..] {
            [b'\r', b'\n', ..] => {
                buffer.advance(2);
                self.state = State::ChunkSize;
                Ok(true)
            }
            [] | [b'\r'] => Ok(false),
            _ => Err(BodyError::Malformed("a chunk is not followed by CRLF")),
        }
    }

    fn trailers(
        &mut self,
        buffer: &mut BytesMut,
        mut searched: usize,
        mut line_start: usize,
    ) -> Result<Decoded, BodyError> {
        let visible = &buffer[..buffer.len().min(MAX_TRAILER_BYTES)];
        while let Some(offset) = memchr::memchr(b'\n', &visible[searched..]) {
            let newline = searched + offset;
            if newline == 0 || visible[newline - 1] != b'\r' {
                return Err(BodyError::Malformed("a trailer line ends in a bare LF"));
            }
            if newline - 1 == line_start {
                self.state = State::Done;
                if line_start == 0 {
                    buffer.advance(2);
                    return Ok(Decoded::End);
                }
                let section = buffer.split_to(newline + 1).freeze();
                return trailers::parse(&section).map(Decoded::Trailers);
            }
            searched = newline + 1;
            line_start = newline + 1;
        }
        if buffer.len() >= MAX_TRAILER_BYTES {
            return Err(BodyError::Malformed("the trailer section is too long"));
        }
        self.state = State::Trailers { searched: visible.len(), line_start };
        Ok(Decoded::NeedMore)
    }
}

fn take(buffer: &mut BytesMut, most: u64) -> Option<Bytes> {
    if buffer.is_empty() {
        return None;
    }
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    if length > COPIED {
        return Some(buffer.split_to(length).freeze());
    }
    let data = Bytes::copy_from_slice(&buffer[..length]);
    buffer.advance(length);
    Some(data)
}

fn hexadecimal(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}
