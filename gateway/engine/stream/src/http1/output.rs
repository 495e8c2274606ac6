//! Writing: heads and small content are gathered in one buffer, large content is queued as it is, and all of it goes out
//! in as few writes as possible, when asked to or when too much waits.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::spare;

/// Data of at least this size are queued instead of copied.
const LARGE: usize = 4 * 1024;
/// A sender is not ready while this much waits.
pub(super) const HIGH_WATER: usize = 32 * 1024;
const SLICES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Output {
    segments: VecDeque<Bytes>,
    segment_bytes: usize,
    tail: BytesMut,
    unflushed: bool,
    pub sent: u64,
}

impl Output {
    pub fn len(&self) -> usize {
        self.segment_bytes + self.tail.len()
    }

    /// True when nothing waits, here or in the layer below.
    pub fn is_flushed(&self) -> bool {
        self.len() == 0 && !self.unflushed
    }

    /// The buffer to write heads and framing into.
    pub fn buffer(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail = spare::take();
        }
        &mut self.tail
    }

    pub fn push(&mut self, data: Bytes) {
        if data.len() < LARGE {
            self.buffer().extend_from_slice(&data);
            return;
        }
        if !self.tail.is_empty() {
            let before = self.tail.split().freeze();
            self.push_segment(before);
        }
        self.push_segment(data);
    }

    fn push_segment(&mut self, segment: Bytes) {
        self.segment_bytes += segment.len();
        self.segments.push_back(segment);
    }

    /// Writes until at most `leave` bytes wait.
    pub fn poll_drain<IO>(&mut self, io: &mut IO, cx: &mut Context<'_>, leave: usize) -> Poll<io::Result<()>>
    where
        IO: AsyncWrite + Unpin,
    {
        while self.len() > leave {
            let count = ready!(self.poll_write(io, cx))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count as u64;
            self.unflushed = true;
            self.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes everything and flushes the layer below.
    pub fn poll_flush<IO>(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        IO: AsyncWrite + Unpin,
    {
        ready!(self.poll_drain(io, cx, 0))?;
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
            spare::give_back(std::mem::take(&mut self.tail));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<IO>(&self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        IO: AsyncWrite + Unpin,
    {
        let Some(first) = self.segments.front() else {
            return Pin::new(io).poll_write(cx, &self.tail);
        };
        if !io.is_write_vectored() {
            return Pin::new(io).poll_write(cx, first);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        let all = self.segments.iter().map(AsRef::as_ref).chain(std::iter::once(self.tail.as_ref()));
        for (slot, bytes) in slices.iter_mut().zip(all) {
            *slot = IoSlice::new(bytes);
            used += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..used])
    }

    fn consume(&mut self, mut count: usize) {
        while let Some(first) = self.segments.front_mut() {
            if count < first.len() {
                first.advance(count);
                self.segment_bytes -= count;
                return;
            }
            count -= first.len();
            self.segment_bytes -= first.len();
            self.segments.pop_front();
        }
        self.tail.advance(count);
    }
}
