//! Frames: their heads, and writing the small ones (RFC 9113, 4.1 and 6).

use bytes::{BufMut, BytesMut};

use super::Reason;

pub const HEAD: usize = 9;
/// The largest payload that is taken, and sent: what everybody has to take (RFC 9113, 4.2).
pub const MAX_PAYLOAD: usize = 16_384;
/// What a client says first (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub mod kind {
    pub const DATA: u8 = 0x0;
    pub const HEADERS: u8 = 0x1;
    pub const PRIORITY: u8 = 0x2;
    pub const RST_STREAM: u8 = 0x3;
    pub const SETTINGS: u8 = 0x4;
    pub const PUSH_PROMISE: u8 = 0x5;
    pub const PING: u8 = 0x6;
    pub const GOAWAY: u8 = 0x7;
    pub const WINDOW_UPDATE: u8 = 0x8;
    pub const CONTINUATION: u8 = 0x9;
}

pub mod flag {
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl FrameHead {
    /// The head at the start of `input`, when it has arrived.
    #[inline]
    pub fn parse(input: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = input.first_chunk()?;
        let [high, middle, low, kind, flags, a, b, c, d] = *head;
        Some(Self {
            length: u32::from_be_bytes([0, high, middle, low]) as usize,
            kind,
            flags,
            // The first bit means nothing (RFC 9113, 4.1).
            stream: u32::from_be_bytes([a & 0x7f, b, c, d]),
        })
    }

    #[inline]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

#[inline]
pub fn write_head(length: usize, kind: u8, flags: u8, stream: u32, out: &mut BytesMut) {
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    let [a, b, c, d] = stream.to_be_bytes();
    out.extend_from_slice(&[high, middle, low, kind, flags, a, b, c, d]);
}

/// Sends a block that was written behind an empty head at `start`, in as many frames as it takes (RFC 9113, 6.10).
pub fn finish_headers(start: usize, stream: u32, end_stream: bool, out: &mut BytesMut) {
    let end = if end_stream { flag::END_STREAM } else { 0 };
    let length = out.len() - start - HEAD;
    if length <= MAX_PAYLOAD {
        fill_head(start, length, kind::HEADERS, end | flag::END_HEADERS, stream, out);
        return;
    }
    let rest = out.split_off(start + HEAD + MAX_PAYLOAD);
    fill_head(start, MAX_PAYLOAD, kind::HEADERS, end, stream, out);
    let mut chunks = rest.chunks(MAX_PAYLOAD).peekable();
    while let Some(chunk) = chunks.next() {
        let flags = if chunks.peek().is_none() { flag::END_HEADERS } else { 0 };
        write_head(chunk.len(), kind::CONTINUATION, flags, stream, out);
        out.extend_from_slice(chunk);
    }
}

fn fill_head(start: usize, length: usize, kind: u8, flags: u8, stream: u32, out: &mut BytesMut) {
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    let [a, b, c, d] = stream.to_be_bytes();
    out[start..start + HEAD].copy_from_slice(&[high, middle, low, kind, flags, a, b, c, d]);
}

pub fn write_reset(stream: u32, reason: Reason, out: &mut BytesMut) {
    write_head(4, kind::RST_STREAM, 0, stream, out);
    out.put_u32(reason.into());
}

pub fn write_window_update(stream: u32, increment: u32, out: &mut BytesMut) {
    write_head(4, kind::WINDOW_UPDATE, 0, stream, out);
    out.put_u32(increment);
}

pub fn write_ping(flags: u8, payload: [u8; 8], out: &mut BytesMut) {
    write_head(8, kind::PING, flags, 0, out);
    out.extend_from_slice(&payload);
}

pub fn write_goaway(last_stream: u32, reason: Reason, out: &mut BytesMut) {
    write_head(8, kind::GOAWAY, 0, 0, out);
    out.put_u32(last_stream);
    out.put_u32(reason.into());
}

/// What the padding of a payload leaves (RFC 9113, 6.1); `None` when there is more padding than payload.
#[inline]
pub fn without_padding<'a>(head: &FrameHead, payload: &'a [u8]) -> Option<&'a [u8]> {
    if !head.has(flag::PADDED) {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.len().checked_sub(usize::from(padding)).map(|length| &rest[..length])
}
