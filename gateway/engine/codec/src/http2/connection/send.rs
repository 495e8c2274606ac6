//! What streams send: heads at once, content as far as the windows and the backlog allow (RFC 9113, 5.2, 6.9 and 8.1).

use bytes::Bytes;
use http::{Method, StatusCode};

use super::{Connection, Role, USEFUL};
use crate::http2::frame::{MAX_PAYLOAD, flag, kind, write_head, write_reset};
use crate::http2::stream::{Failure, Receiving, StreamKey};
use crate::http2::streams::ResetBy;
use crate::http2::{Reason, write};
use crate::{BodyKind, Piece, RequestHead, ResponseHead};

/// What became of the content that a stream had queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// All of it waits to be written.
    All,
    /// Some has to wait for room. The stream is named as changed when there may be some.
    Blocked,
    Failed(Failure),
}

impl Connection {
    /// Opens a stream of a client's; `None` when the connection takes no more.
    pub fn open(&mut self, head: &RequestHead, kind: BodyKind) -> Option<StreamKey> {
        if !self.can_open() {
            return None;
        }
        let id = self.next_local;
        self.next_local += 2;
        let ended = kind.is_empty();
        let place = write::Place { stream: id, end_stream: ended };
        write::request(head, kind, place, &mut self.encoder, self.out.buffer());
        let mut stream = self.new_stream(id, Receiving::Head);
        stream.head_request = head.method == Method::HEAD;
        (stream.send_ended, stream.send_done) = (ended, ended);
        self.active += 1;
        Some(self.streams.insert(stream))
    }

    /// Sends the head of a response, which ends the stream when no content follows.
    pub fn respond(&mut self, key: StreamKey, head: &ResponseHead, kind: BodyKind) -> Result<(), Failure> {
        let Some(stream) = self.streams.get(key) else { return Err(Failure::Lost) };
        if let Some(failure) = stream.failure {
            return Err(failure);
        }
        let status = head.status;
        let describes = stream.head_request || status == StatusCode::NOT_MODIFIED;
        let bodiless = describes || status == StatusCode::NO_CONTENT;
        let ended = bodiless || kind.is_empty();
        (stream.send_ended, stream.send_done, stream.discard) = (ended, ended, bodiless);
        let place = write::Place { stream: key.id, end_stream: ended };
        write::response(head, kind, describes, place, &mut self.encoder, self.out.buffer());
        self.settle(key);
        Ok(())
    }

    /// Sends an informational response (RFC 9110, 15.2).
    pub fn inform(&mut self, key: StreamKey, head: &ResponseHead) {
        if self.streams.peek(key).is_some_and(|stream| !stream.is_closed() && !stream.send_ended) {
            let place = write::Place { stream: key.id, end_stream: false };
            write::response(head, BodyKind::Empty, false, place, &mut self.encoder, self.out.buffer());
        }
    }

    /// Keeps a piece until it is handed over. False when the end was queued before.
    pub fn queue(&mut self, key: StreamKey, piece: Piece) -> bool {
        let Some(stream) = self.streams.get(key) else { return true };
        if stream.discard || stream.failure.is_some() {
            return true;
        }
        match piece {
            Piece::Data(data) if data.is_empty() => {}
            _ if stream.send_ended => return false,
            Piece::Data(data) => {
                stream.waiting_bytes += data.len();
                stream.waiting.push_back(data);
            }
            Piece::Trailers(trailers) => {
                stream.send_trailers = Some(trailers);
                stream.send_ended = true;
            }
        }
        true
    }

    /// Nothing more will be queued.
    pub fn finish(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get(key) {
            stream.send_ended = true;
        }
    }

    /// How much content a stream has queued and not handed over.
    pub fn queued(&self, key: StreamKey) -> usize {
        self.streams.peek(key).map_or(0, |stream| stream.waiting_bytes)
    }

    /// Nothing more will be sent on the stream.
    pub fn is_sent(&self, key: StreamKey) -> bool {
        self.streams.peek(key).is_none_or(|stream| stream.send_ended)
    }

    /// Turns what a stream has queued into frames, as far as there is room.
    pub fn hand_over(&mut self, key: StreamKey) -> Handed {
        loop {
            let Some(stream) = self.streams.get(key) else { return Handed::Failed(Failure::Lost) };
            if let Some(failure) = stream.failure {
                return if stream.send_done { Handed::All } else { Handed::Failed(failure) };
            }
            let Some(front) = stream.waiting.front_mut() else { break };
            // A whole frame or none: what is left of the backlog's room is not worth a small one.
            let full = self.out.len() >= self.limits.max_send_buffer;
            let shared = if full { 0 } else { self.send_window.room() };
            let own = stream.send_window.room();
            if own == 0 || shared == 0 {
                if shared == 0 && !self.blocked.contains(&key) {
                    self.blocked.push(key);
                }
                return Handed::Blocked;
            }
            let length = front.len().min(own).min(shared).min(MAX_PAYLOAD);
            let data: Bytes = if length < front.len() {
                front.split_to(length)
            } else {
                stream.waiting.pop_front().unwrap_or_default()
            };
            stream.waiting_bytes -= length;
            stream.send_window.take(length);
            self.send_window.take(length);
            let last = stream.send_ended && stream.waiting.is_empty() && stream.send_trailers.is_none();
            stream.send_done = last;
            write_head(length, kind::DATA, if last { flag::END_STREAM } else { 0 }, key.id, self.out.buffer());
            self.out.push(data);
            self.idle.earn(USEFUL);
        }
        self.send_end(key);
        Handed::All
    }

    fn send_end(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.send_ended && !stream.send_done {
            stream.send_done = true;
            match stream.send_trailers.take() {
                Some(trailers) => write::trailers(&trailers, key.id, &mut self.encoder, self.out.buffer()),
                None => write_head(0, kind::DATA, flag::END_STREAM, key.id, self.out.buffer()),
            }
        }
        self.settle(key);
    }

    /// Ends a stream at once.
    pub fn reset(&mut self, key: StreamKey, reason: Reason) {
        let Some(stream) = self.streams.get(key) else { return };
        stream.send_ended = true;
        if !stream.is_closed() {
            write_reset(key.id, reason, self.out.buffer());
            self.streams.remember_reset(key.id, ResetBy::Us);
            self.end_stream(key, Failure::Cancelled);
        }
    }

    /// The stream's owner is gone. A stream that is not complete is cancelled; one that was answered before the request
    /// was read tells the client to stop sending (RFC 9113, 8.1).
    pub fn release(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.peek(key)
            && !stream.is_closed()
            && !self.is_over()
        {
            let answered = self.role != Role::Client && stream.send_done;
            let reason = if answered { Reason::NO_ERROR } else { Reason::CANCEL };
            write_reset(key.id, reason, self.out.buffer());
            self.streams.remember_reset(key.id, ResetBy::Us);
        }
        self.drop_stream(key);
    }
}
