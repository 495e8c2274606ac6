//! Content and trailers, both ways.

use std::task::{Context, Poll, ready};

use sekisho_codec::http1::{BodyError, Decoded, write_informational};
use sekisho_codec::{Headers, Piece, ResponseHead};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Http1;
use crate::StreamError;

impl<IO: AsyncRead + AsyncWrite + Unpin> Http1<IO> {
    /// The next piece of the content that the peer sends; `None` when it is complete. A client that waits for leave to
    /// send it (100-continue) gets it with the first call.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        if self.received {
            return Poll::Ready(None);
        }
        self.check_receiving()?;
        if self.continue_owed || self.continue_unflushed {
            self.send_continue(cx)?;
        }
        loop {
            match self.decoder.decode(&mut self.input.buffer) {
                Ok(Decoded::Data(data)) => {
                    self.received = self.decoder.is_done();
                    return Poll::Ready(Some(Ok(Piece::Data(data))));
                }
                Ok(Decoded::Trailers(trailers)) => {
                    self.received = true;
                    return Poll::Ready(Some(Ok(Piece::Trailers(trailers))));
                }
                Ok(Decoded::End) => {
                    self.received = true;
                    return Poll::Ready(None);
                }
                Ok(Decoded::NeedMore) => {
                    if ready!(self.poll_fill(cx))? == 0 {
                        return Poll::Ready(self.end_of_input());
                    }
                }
                Err(error) => return Poll::Ready(Some(Err(self.receive_failed(error.into())))),
            }
        }
    }

    fn end_of_input(&mut self) -> Option<Result<Piece, StreamError>> {
        match self.decoder.finish_at_eof() {
            Ok(()) => {
                self.received = true;
                self.keep_alive = false;
                None
            }
            Err(error @ (BodyError::Truncated | BodyError::Malformed(_))) => {
                Some(Err(self.receive_failed(error.into())))
            }
        }
    }

    fn send_continue(&mut self, cx: &mut Context<'_>) -> Result<(), StreamError> {
        if std::mem::take(&mut self.continue_owed) && !self.response_started && self.input.buffer.is_empty() {
            let head = ResponseHead { status: http::StatusCode::CONTINUE, headers: Headers::default() };
            write_informational(&head, self.output.buffer());
            self.continue_unflushed = true;
        }
        if self.continue_unflushed {
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.continue_unflushed = false,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}

impl<IO> Http1<IO> {
    /// Queues a piece of content. Trailers end the content; they are dropped where the framing has no room for them.
    pub fn send(&mut self, piece: Piece) -> Result<(), StreamError> {
        self.check_sending()?;
        match piece {
            Piece::Data(_) if self.discard => Ok(()),
            Piece::Data(data) => {
                let framed = self
                    .encoder
                    .begin_data(data.len(), self.output.buffer())
                    .map_err(|error| self.send_failed(error.into()))?;
                self.output.push(data);
                if framed {
                    self.encoder.end_data(self.output.buffer());
                }
                Ok(())
            }
            Piece::Trailers(trailers) => self.end(Some(&trailers)),
        }
    }

    /// Ends the content. When less was sent than declared, the connection fails: the peer must not take it for complete.
    pub fn finish(&mut self) {
        // The failure is kept, and `poll_flush` tells it.
        self.end(None).ok();
    }

    fn end(&mut self, trailers: Option<&Headers>) -> Result<(), StreamError> {
        if self.sent {
            return Ok(());
        }
        self.encoder.finish(trailers, self.output.buffer()).map_err(|error| self.send_failed(error.into()))?;
        self.sent = true;
        Ok(())
    }
}
