//! Reading: one buffer a connection, filled on demand and given back while idle.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

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

    /// Reads once. `Ok(0)` is the end of the stream; `expected` is how much is known to follow.
    pub fn poll_fill<IO>(&mut self, io: &mut IO, cx: &mut Context<'_>, expected: u64) -> Poll<io::Result<usize>>
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
        match outcome {
            Poll::Ready(Ok(count)) => {
                self.filled_up = count == room;
                self.received += count as u64;
                self.eof |= count == 0;
            }
            Poll::Ready(Err(_)) => self.eof = true,
            Poll::Pending => self.release(),
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
