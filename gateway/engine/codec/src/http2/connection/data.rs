//! Content: received within the windows that were given, and taken by its stream's owner (RFC 9113, 6.1 and 6.9).

use bytes::{Buf, BytesMut};

use super::{Connection, Role, USEFUL};
use crate::http2::content::SLICED;
use crate::http2::frame::{FrameHead, HEAD, flag, without_padding, write_window_update};
use crate::http2::stream::{Failure, Receiving, StreamKey};
use crate::http2::streams::ResetBy;
use crate::http2::{ConnectionError, Fault, Reason};
use crate::{BodyKind, Piece, ResponseHead};

/// What a stream's owner gets when it asks for content.
#[derive(Debug)]
pub enum Taken {
    Piece(Piece),
    /// The content is complete.
    End,
    Waiting,
    Failed(Failure),
}

impl Connection {
    /// Takes the frame out of `input`, whatever becomes of it.
    pub(super) fn receive_data(&mut self, head: &FrameHead, input: &mut BytesMut) -> Result<(), Fault> {
        let total = HEAD + head.length;
        let (key, start, length) = match self.admit_data(head, &input[HEAD..total]) {
            Ok(Some(admitted)) => admitted,
            outcome => {
                input.advance(total);
                return outcome.map(|_| ());
            }
        };
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        if length >= SLICED {
            let mut frame = input.split_to(total);
            frame.advance(HEAD + start);
            frame.truncate(length);
            stream.content.push(frame.freeze());
        } else {
            if length > 0 {
                stream.content.push_copy(&input[HEAD + start..HEAD + start + length]);
            }
            input.advance(total);
        }
        self.changed.push(key);
        if head.has(flag::END_STREAM) { self.receive_end(key) } else { Ok(()) }
    }

    /// The stream that gets the content, and where that is in the payload.
    fn admit_data(&mut self, head: &FrameHead, payload: &[u8]) -> Result<Option<(StreamKey, usize, usize)>, Fault> {
        if head.stream == 0 {
            return Err(ConnectionError::protocol("content for no stream").into());
        }
        let content = without_padding(head, payload).ok_or(ConnectionError::protocol("too much padding"))?;
        let start = usize::from(head.has(flag::PADDED));
        // Padding counts (RFC 9113, 6.9.1).
        if !self.window.receive(head.length) {
            let text = "more content than the connection's window";
            return Err(ConnectionError::new(Reason::FLOW_CONTROL_ERROR, text).into());
        }
        let Some(key) = self.streams.find(head.stream) else {
            if self.is_idle(head.stream) {
                return Err(ConnectionError::protocol("content for a stream that nobody opened").into());
            }
            self.give_back(head.length);
            self.count_idle()?;
            return match (self.streams.reset_by(head.stream), self.role) {
                // It was under way.
                (Some(ResetBy::Us), _) | (None, Role::Client) => Ok(None),
                _ => Err(Fault::Stream(head.stream, Reason::STREAM_CLOSED, "content for a closed stream")),
            };
        };
        let outcome = self.admit_on_stream(key, head, content.len());
        match outcome {
            Ok(true) => {
                self.give_back(head.length - content.len());
                Ok(Some((key, start, content.len())))
            }
            _ => {
                self.give_back(head.length);
                outcome.map(|_| None)
            }
        }
    }

    /// False when the content is to be dropped.
    fn admit_on_stream(&mut self, key: StreamKey, head: &FrameHead, length: usize) -> Result<bool, Fault> {
        let fault = |reason, text| Err(Fault::Stream(key.id, reason, text));
        let Some(stream) = self.streams.get(key) else { return Ok(false) };
        if stream.failure.is_some() || stream.receiving == Receiving::Ended {
            let ours = stream.failure.is_some() && self.streams.reset_by(key.id) != Some(ResetBy::Peer);
            self.count_idle()?;
            return if ours { Ok(false) } else { fault(Reason::STREAM_CLOSED, "content for a closed stream") };
        }
        if stream.receiving == Receiving::Head {
            return fault(Reason::PROTOCOL_ERROR, "content before the response");
        }
        if !stream.window.receive(head.length) {
            return fault(Reason::FLOW_CONTROL_ERROR, "more content than the stream's window");
        }
        if let Some(expected) = &mut stream.expected {
            match expected.checked_sub(length as u64) {
                Some(rest) => *expected = rest,
                None => return fault(Reason::PROTOCOL_ERROR, "more content than its length says"),
            }
        }
        let padding = head.length - length;
        if padding > 0 {
            let increment = stream.window.consume(padding);
            if increment > 0 {
                write_window_update(key.id, increment, self.out.buffer());
            }
        }
        if length > 0 {
            self.idle.earn(1);
        } else if !head.has(flag::END_STREAM) {
            self.count_idle()?;
        }
        Ok(true)
    }

    /// END_STREAM has come.
    pub(super) fn receive_end(&mut self, key: StreamKey) -> Result<(), Fault> {
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        if stream.expected.is_some_and(|rest| rest > 0) {
            return Err(Fault::Stream(key.id, Reason::PROTOCOL_ERROR, "less content than its length says"));
        }
        stream.receiving = Receiving::Ended;
        self.settle(key);
        Ok(())
    }

    /// Makes room on the connection for what was taken or dropped.
    pub(super) fn give_back(&mut self, length: usize) {
        let increment = self.window.consume(length);
        if increment > 0 && !self.is_over() {
            write_window_update(0, increment, self.out.buffer());
        }
    }

    /// The next piece of content. The peer gets room for more as pieces are taken.
    pub fn take(&mut self, key: StreamKey) -> Taken {
        let Some(stream) = self.streams.get(key) else { return Taken::Failed(Failure::Lost) };
        let data = stream.content.take();
        if !data.is_empty() {
            if stream.receiving != Receiving::Ended && stream.failure.is_none() {
                let increment = stream.window.consume(data.len());
                if increment > 0 {
                    write_window_update(key.id, increment, self.out.buffer());
                }
            }
            self.give_back(data.len());
            return Taken::Piece(Piece::Data(data));
        }
        match (stream.receiving, stream.failure) {
            (Receiving::Ended, _) => {
                stream.trailers.take().map_or(Taken::End, |trailers| Taken::Piece(Piece::Trailers(trailers)))
            }
            (_, Some(failure)) => Taken::Failed(failure),
            _ => Taken::Waiting,
        }
    }

    /// Everything that the peer sends has been taken.
    pub fn is_received(&self, key: StreamKey) -> bool {
        self.streams.peek(key).is_some_and(|stream| {
            stream.receiving == Receiving::Ended
                && stream.heads.is_empty()
                && stream.content.is_empty()
                && stream.trailers.is_none()
        })
    }

    /// The next response head of a client's stream; informational ones first.
    pub fn take_response(&mut self, key: StreamKey) -> Result<Option<(ResponseHead, BodyKind)>, Failure> {
        let Some(stream) = self.streams.get(key) else { return Err(Failure::Lost) };
        match (stream.heads.pop_front(), stream.failure) {
            (Some(head), _) => Ok(Some(head)),
            (None, Some(failure)) => Err(failure),
            (None, None) => Ok(None),
        }
    }

    /// How the stream came to a bad end, if it did.
    pub fn failure(&self, key: StreamKey) -> Option<Failure> {
        self.streams.peek(key).map_or(Some(Failure::Lost), |stream| stream.failure)
    }

    /// Forgets the content of a stream whose owner is gone, and makes its room free.
    pub(super) fn drop_stream(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else { return };
        let dropped = stream.content.clear();
        self.active -= u32::from(stream.active);
        self.idle.earn(USEFUL * u32::from(stream.failure.is_none()));
        self.streams.remove(key);
        if dropped > 0 {
            self.give_back(dropped);
        }
    }
}
