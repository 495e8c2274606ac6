//! Raw bytes both ways, after a protocol switch. Half-closes are passed on, what one side does not take is not read from
//! the other, and an idle direction holds no buffer.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

const BUFFER: usize = 32 * 1024;
/// A sender that fills its buffer gets twice as much room the next time, up to this.
const LARGEST_BUFFER: usize = 128 * 1024;

/// One of a tunnel's two transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    First,
    Second,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Reading,
    Writing,
}

#[derive(Debug)]
struct Direction {
    fault: Option<Fault>,
    buffer: BytesMut,
    room: usize,
    copied: u64,
    unflushed: bool,
    ended: bool,
    closed: bool,
}

/// Copies between two transports until both directions have ended. Yields how many bytes went each way.
#[derive(Debug)]
pub struct Tunnel<A, B> {
    first: A,
    second: B,
    forth: Direction,
    back: Direction,
    /// Most bytes in both directions together.
    most: u64,
}

impl<A, B> Tunnel<A, B> {
    /// Each transport comes with what was read from it before.
    pub fn new(first: (A, BytesMut), second: (B, BytesMut)) -> Self {
        let (forth, back) = (Direction::new(first.1), Direction::new(second.1));
        Self { first: first.0, second: second.0, forth, back, most: u64::MAX }
    }

    /// With a bound on bytes in both directions together. At the bound it stands still, and wakes nobody: whoever polls it
    /// has to look at [`Tunnel::copied`].
    pub fn with_most(self, most: u64) -> Self {
        Self { most, ..self }
    }

    /// Bytes read from the first transport, and from the second, so far.
    pub fn copied(&self) -> (u64, u64) {
        (self.forth.copied, self.back.copied)
    }

    /// One side has nothing more to send, and the other one still may.
    pub fn is_half_closed(&self) -> bool {
        self.forth.ended != self.back.ended
    }

    /// The transport that broke, once the tunnel has ended with an error.
    pub fn failed(&self) -> Option<Side> {
        match (self.forth.fault, self.back.fault) {
            (Some(Fault::Reading), _) | (None, Some(Fault::Writing)) => Some(Side::First),
            (Some(Fault::Writing), _) | (None, Some(Fault::Reading)) => Some(Side::Second),
            (None, None) => None,
        }
    }
}

impl<A, B> Future for Tunnel<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    type Output = io::Result<(u64, u64)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let most = this.most.saturating_sub(this.back.copied);
        let forth = this.forth.poll_copy(&mut this.first, &mut this.second, most, cx)?;
        let most = this.most.saturating_sub(this.forth.copied);
        let back = this.back.poll_copy(&mut this.second, &mut this.first, most, cx)?;
        if forth.is_ready() && back.is_ready() { Poll::Ready(Ok(this.copied())) } else { Poll::Pending }
    }
}

impl Direction {
    fn new(buffer: BytesMut) -> Self {
        let copied = buffer.len() as u64;
        Self { fault: None, buffer, room: BUFFER, copied, unflushed: false, ended: false, closed: false }
    }

    /// `most`: bytes that may have been read in all.
    fn poll_copy<From, To>(
        &mut self,
        from: &mut From,
        to: &mut To,
        most: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        From: AsyncRead + Unpin,
        To: AsyncWrite + Unpin,
    {
        // What was read before the tunnel began may be too much by itself.
        if self.copied > most {
            return Poll::Pending;
        }
        loop {
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            while !self.buffer.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer));
                let count = written.inspect_err(|_| self.fault = Some(Fault::Writing))?;
                if count == 0 {
                    self.fault = Some(Fault::Writing);
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.advance(count);
                self.unflushed = true;
            }
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).inspect_err(|_| self.fault = Some(Fault::Writing))?;
                self.closed = true;
                continue;
            }
            let left = usize::try_from(most.saturating_sub(self.copied)).unwrap_or(usize::MAX);
            self.buffer.reserve(self.room.min(left));
            let read = match left {
                0 => Poll::Pending,
                _ => pin!(from.read_buf(&mut (&mut self.buffer).limit(left))).poll(cx),
            };
            match read {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(count)) => {
                    self.copied += count as u64;
                    if count >= self.room {
                        self.room = (self.room * 2).min(LARGEST_BUFFER);
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.fault = Some(Fault::Reading);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    self.buffer = BytesMut::new();
                    if self.unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx)).inspect_err(|_| self.fault = Some(Fault::Writing))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}
