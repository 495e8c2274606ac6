//! The bytes of one connection: read into the codec, and written from it.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use sekisho_codec::http2::Connection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::spare;

/// Capacity of a fresh buffer.
const INITIAL: usize = 16 * 1024;
/// Reads into less room than this are not worth a system call.
const LEAST_ROOM: usize = 4 * 1024;
/// After a read that filled its buffer, more is asked for at once.
const LONG_READ: usize = 64 * 1024;
const SLICES: usize = 16;

pub(super) struct Link<IO> {
    io: IO,
    input: BytesMut,
    filled_up: bool,
    unflushed: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Link<IO> {
    /// A transport of which `input` was read before.
    pub fn new(io: IO, input: BytesMut) -> Self {
        Self { io, input, filled_up: false, unflushed: false }
    }

    /// Lets the codec see what it left for want of room; true when that is something.
    pub fn receive_left(&mut self, connection: &mut Connection) -> bool {
        let before = self.input.len();
        if before > 0 {
            connection.receive(&mut self.input);
        }
        self.input.len() < before
    }

    /// Reads once, and lets the codec see it. `Ok(0)` is the end of the transport.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<io::Result<usize>> {
        if self.input.capacity() == 0 {
            self.input = spare::take();
        }
        if self.input.capacity() - self.input.len() < LEAST_ROOM {
            self.input.reserve(if self.filled_up { LONG_READ } else { INITIAL });
        }
        let room = self.input.capacity() - self.input.len();
        let outcome = pin!(self.io.read_buf(&mut self.input)).poll(cx);
        match &outcome {
            Poll::Ready(Ok(count)) if *count > 0 => {
                self.filled_up = *count == room;
                lend(connection);
                connection.receive(&mut self.input);
            }
            _ => {}
        }
        if self.input.is_empty() {
            spare::give_back(std::mem::take(&mut self.input));
        }
        outcome
    }

    /// Writes what waits, and flushes the layer below.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<io::Result<()>> {
        while !connection.outgoing().is_empty() {
            let count = {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = connection.outgoing().slices(&mut slices);
                let io = Pin::new(&mut self.io);
                ready!(match &slices[..filled] {
                    [slice] => io.poll_write(cx, slice),
                    slices => io.poll_write_vectored(cx, slices),
                })?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            connection.written(count);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
            spare::give_back(std::mem::take(connection.outgoing().buffer()));
        }
        Poll::Ready(Ok(()))
    }

    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Gives an idle connection memory to write into.
pub(super) fn lend(connection: &mut Connection) {
    let buffer = connection.outgoing().buffer();
    if buffer.capacity() == 0 {
        *buffer = spare::take();
        // What goes back to the spare ones should serve whoever takes it next.
        if buffer.capacity() < LEAST_ROOM {
            buffer.reserve(INITIAL);
        }
    }
}
