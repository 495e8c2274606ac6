//! Receiving content on a stream: the peer gets room for more as pieces are taken.

use std::task::{Context, Poll, ready};

use h2::RecvStream;
use sekisho_codec::{Headers, Piece};

use crate::StreamError;

pub(super) struct Receive {
    stream: RecvStream,
    data_done: bool,
    done: bool,
}

impl Receive {
    pub fn new(stream: RecvStream) -> Self {
        let done = stream.is_end_stream();
        Self { stream, data_done: done, done }
    }

    pub fn is_done(&self) -> bool {
        self.done
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, h2::Error>>> {
        while !self.data_done {
            match ready!(self.stream.poll_data(cx)) {
                None => self.data_done = true,
                Some(Ok(data)) => {
                    // Fails only when more is released than was received.
                    self.stream.flow_control().release_capacity(data.len()).ok();
                    if self.stream.is_end_stream() {
                        self.data_done = true;
                        self.done = true;
                    }
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Piece::Data(data))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
        if self.done {
            return Poll::Ready(None);
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        self.done = true;
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|map| Ok(Piece::Trailers(Headers::from_map(map)))),
            Err(error) => Some(Err(error)),
        })
    }
}

/// What `h2` reported about a stream, in our terms, and whether the peer cancelled it.
pub(super) fn classify(error: &h2::Error) -> (StreamError, bool) {
    (StreamError::from_h2(error), error.is_reset() && error.is_remote())
}
