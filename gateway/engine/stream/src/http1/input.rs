//! Reading: one buffer a connection, filled on demand and given back while idle.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::spare;

/// Capacity of a fresh buffer.
const INITIAL: usize = 16 * 1024;
/// Reads into less room than this are not worth a system call.
const LEAST_ROOM: usize = 4 * 1024;
/// Reads of long content ask for more at once.
const LONG_READ: usize = 64 * 1024;
/// How much may wait unread while nobody consumes it.
pub(super) const BOUND: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Input {
    pub buffer: BytesMut,
    pub eof: bool,
    pub received: u64,
    filled_up: bool,
}

impl Input {
    pub fn new(buffer: BytesMut) -> Self {
        let received = buffer.len() as u64;
        Self { buffer, eof: false, received, filled_up: false }
    }

    /// Reads once. `Ok(0)` is the end of the stream; `expected` is how much is known to follow: nothing between
    /// messages.
    pub fn poll_fill<IO>(&mut self, io: &mut IO, cx: &mut Context<'_>, expected: u64) -> Poll<io::Result<usize>>
    where
        IO: AsyncRead + Unpin,
    {
        let outcome = if self.buffer.is_empty() && expected == 0 {
            self.poll_first(io, cx)
        } else {
            self.poll_more(io, cx, expected)
        };
        match outcome {
            Poll::Ready(Ok(count)) => {
                self.received += count as u64;
                self.eof |= count == 0;
            }
            Poll::Ready(Err(_)) => self.eof = true,
            Poll::Pending => self.release(),
        }
        outcome
    }

    /// Reads what may not be there yet: who waits for the first bytes of a message has no use for a buffer until then.
    fn poll_first<IO>(&mut self, io: &mut IO, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        IO: AsyncRead + Unpin,
    {
        let mut room = [MaybeUninit::uninit(); LEAST_ROOM];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(io).poll_read(cx, &mut read))?;
        let read = read.filled();
        self.filled_up = read.len() == LEAST_ROOM;
        if !read.is_empty() {
            if self.buffer.capacity() == 0 {
                self.buffer = spare::take();
            }
            if self.buffer.capacity() < read.len() {
                self.buffer.reserve(INITIAL);
            }
            self.buffer.extend_from_slice(read);
        }
        Poll::Ready(Ok(read.len()))
    }

    fn poll_more<IO>(&mut self, io: &mut IO, cx: &mut Context<'_>, expected: u64) -> Poll<io::Result<usize>>
    where
        IO: AsyncRead + Unpin,
    {
        if self.buffer.capacity() == 0 {
            self.buffer = spare::take();
        }
        if self.buffer.capacity() - self.buffer.len() < LEAST_ROOM {
            let long = self.filled_up && expected > INITIAL as u64;
            self.buffer.reserve(if long { LONG_READ } else { INITIAL });
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let outcome = pin!(io.read_buf(&mut self.buffer)).poll(cx);
        if let Poll::Ready(Ok(count)) = outcome {
            self.filled_up = count == room;
        }
        outcome
    }

    /// Gives the buffer back when nothing is in it.
    fn release(&mut self) {
        if self.buffer.is_empty() {
            spare::give_back(std::mem::take(&mut self.buffer));
        }
    }
}
