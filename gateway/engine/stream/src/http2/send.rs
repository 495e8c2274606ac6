//! Sending content on a stream: pieces wait until they are flushed or many, so that the last one can carry the end of the
//! stream, and nothing is given to `h2` that its peer has not made room for.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use sekisho_codec::{Headers, Piece};

use super::convert;
use crate::{StreamError, StreamErrorKind};

/// A sender is not ready while this much waits.
const HIGH_WATER: usize = 32 * 1024;
/// What a stream may hand over before its peer has made room: a new stream has none until the connection has been polled,
/// and a short message should not have to wait for that.
const CREDIT: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Send {
    stream: SendStream<Bytes>,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    credit: usize,
    trailers: Option<Headers>,
    /// Nothing more will be queued.
    ended: bool,
    /// The end of the stream was handed over.
    done: bool,
    /// Content is dropped instead of sent: the head alone answers.
    discard: bool,
}

impl Send {
    pub fn new(stream: SendStream<Bytes>, done: bool, discard: bool) -> Self {
        Self {
            stream,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            credit: CREDIT,
            trailers: None,
            ended: done,
            done,
            discard,
        }
    }

    pub fn is_ended(&self) -> bool {
        self.ended
    }

    pub fn queue(&mut self, piece: Piece) -> Result<(), StreamError> {
        if self.discard {
            return Ok(());
        }
        if self.ended {
            return match piece {
                Piece::Data(data) if data.is_empty() => Ok(()),
                _ => Err(StreamError::protocol("content was sent after its end")),
            };
        }
        match piece {
            Piece::Data(data) if data.is_empty() => {}
            Piece::Data(data) => {
                self.waiting_bytes += data.len();
                self.waiting.push_back(data);
            }
            Piece::Trailers(trailers) => {
                self.trailers = Some(trailers);
                self.ended = true;
            }
        }
        Ok(())
    }

    pub fn finish(&mut self) {
        self.ended = true;
    }

    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.waiting_bytes < HIGH_WATER { Poll::Ready(Ok(())) } else { self.poll_hand_over(cx) }
    }

    /// Hands over what waits, as far as the peer has made room; ready when nothing waits any more.
    pub fn poll_hand_over(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        while let Some(front) = self.waiting.front_mut() {
            self.stream.reserve_capacity(front.len());
            let mut room = self.stream.capacity();
            if room == 0 && front.len() <= self.credit {
                self.credit -= front.len();
                room = front.len();
            } else if room == 0 {
                room = match ready!(self.stream.poll_capacity(cx)) {
                    Some(outcome) => outcome.map_err(|error| StreamError::from_h2(&error))?,
                    None => return Poll::Ready(Err(StreamError::new(StreamErrorKind::Reset))),
                };
            }
            let whole = room >= front.len();
            let piece = if whole { std::mem::take(front) } else { front.split_to(room) };
            if whole {
                self.waiting.pop_front();
            }
            self.waiting_bytes -= piece.len();
            let last = self.ended && self.waiting.is_empty() && self.trailers.is_none();
            self.done |= last;
            self.stream.send_data(piece, last).map_err(|error| StreamError::from_h2(&error))?;
        }
        if self.ended && !self.done {
            self.done = true;
            let outcome = match self.trailers.take() {
                Some(trailers) => self.stream.send_trailers(convert::fields(trailers)),
                None => self.stream.send_data(Bytes::new(), true),
            };
            outcome.map_err(|error| StreamError::from_h2(&error))?;
        }
        Poll::Ready(Ok(()))
    }

    pub fn reset(&mut self, reason: Reason) {
        self.ended = true;
        self.done = true;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.stream.send_reset(reason);
    }

    /// Ready when the peer cancelled the stream (true), or the connection failed.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.stream.poll_reset(cx).map(|outcome| outcome.is_ok())
    }
}
