//! How a connection ends: in good order with GOAWAY, by somebody's mistake, or because the transport is gone
//! (RFC 9113, 5.4 and 6.8).

use super::{Connection, Role};
use crate::http2::frame;
use crate::http2::settings::MAX_WINDOW;
use crate::http2::stream::{Failure, StreamKey};
use crate::http2::streams::ResetBy;
use crate::http2::{ConnectionError, Reason};

/// The PING that comes back when the peer has seen the first GOAWAY.
pub(super) const GOODBYE: [u8; 8] = *b"farewell";

#[derive(Debug, Default)]
pub(super) struct End {
    /// The peer broke the rules of the connection.
    error: Option<ConnectionError>,
    /// The transport is gone.
    lost: bool,
    /// The first GOAWAY has been said.
    announced: bool,
    /// The last stream that is served, once that is settled.
    settled: Option<u32>,
    /// The peer opens, or takes, no more streams.
    pub peer_leaves: bool,
}

impl Connection {
    /// Takes no more streams than are under way: a GOAWAY that names none yet, so that requests which have been sent
    /// are served, and once the peer has seen it another that names the last one.
    pub fn shut_down(&mut self) {
        if self.is_over() || std::mem::replace(&mut self.end.announced, true) {
            return;
        }
        frame::write_goaway(MAX_WINDOW, Reason::NO_ERROR, self.out.buffer());
        frame::write_ping(0, GOODBYE, self.out.buffer());
    }

    /// Says goodbye at once: nobody on this side wants anything any more.
    pub fn close(&mut self) {
        if !self.is_over() && self.end.settled.is_none() {
            self.end.announced = true;
            self.settle_end();
        }
    }

    pub(super) fn settle_end(&mut self) {
        if self.end.announced && self.end.settled.is_none() {
            self.end.settled = Some(self.last_peer);
            frame::write_goaway(self.last_peer, Reason::NO_ERROR, self.out.buffer());
        }
    }

    /// True for streams that came after the last one that is served.
    pub(super) fn is_too_late(&self, stream: u32) -> bool {
        self.end.settled.is_some_and(|last| stream > last)
    }

    /// The transport is gone.
    pub fn lose(&mut self) {
        if !self.end.lost {
            self.end.lost = true;
            self.out.clear();
            self.fail_streams(Failure::Lost);
        }
    }

    pub(super) fn fail(&mut self, error: ConnectionError) {
        self.end.error = Some(error);
        frame::write_goaway(self.last_peer, error.reason, self.out.buffer());
        self.fail_streams(Failure::Violation(error.text));
    }

    fn fail_streams(&mut self, failure: Failure) {
        self.accepted.clear();
        self.block = None;
        for stream in self.streams.each() {
            if !stream.is_closed() {
                stream.failure = Some(failure);
                stream.waiting.clear();
                stream.waiting_bytes = 0;
            }
            stream.active = false;
        }
        self.active = 0;
        self.changed.extend(self.streams.keys());
    }

    /// A mistake that costs one stream (RFC 9113, 5.4.2), and counts: a peer can provoke it at will.
    pub(super) fn refuse_stream(&mut self, id: u32, reason: Reason, text: &'static str) {
        // A stream too many has cost nothing yet, and a client may not have seen the bound.
        let budget = if reason == Reason::REFUSED_STREAM { &mut self.idle } else { &mut self.errors };
        if !budget.spend(self.limits.clock) {
            return self.fail(ConnectionError::new(Reason::ENHANCE_YOUR_CALM, "the peer breaks too many streams"));
        }
        frame::write_reset(id, reason, self.out.buffer());
        self.streams.remember_reset(id, ResetBy::Us);
        if let Some(key) = self.streams.find(id) {
            self.forget_accepted(key);
            self.end_stream(key, Failure::Violation(text));
        }
    }

    /// Marks a stream that came to a bad end.
    pub(super) fn end_stream(&mut self, key: StreamKey, failure: Failure) {
        if let Some(stream) = self.streams.get(key) {
            stream.failure.get_or_insert(failure);
            stream.waiting.clear();
            stream.waiting_bytes = 0;
            self.settle(key);
            self.changed.push(key);
        }
    }

    /// A request that nobody has seen yet is not shown any more; true when there was one.
    pub(super) fn forget_accepted(&mut self, key: StreamKey) -> bool {
        let Some(position) = self.accepted.iter().position(|accepted| accepted.stream == key) else {
            return false;
        };
        self.accepted.remove(position);
        self.drop_stream(key);
        true
    }

    /// The number of active streams after something ended.
    pub(super) fn settle(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get(key)
            && stream.active
            && stream.is_closed()
        {
            stream.active = false;
            self.active -= 1;
        }
    }

    /// Why the connection broke; the peer is told by a GOAWAY that may still wait to be written.
    pub fn error(&self) -> Option<ConnectionError> {
        self.end.error
    }

    /// Nothing more is read or begun.
    pub fn is_over(&self) -> bool {
        self.end.lost || self.end.error.is_some()
    }

    /// Nothing is left to do but to write what waits.
    pub fn is_finished(&self) -> bool {
        let leaving = self.end.settled.is_some() || self.end.peer_leaves;
        self.is_over() || (leaving && self.streams.len() == 0 && self.accepted.is_empty())
    }

    /// True while a client can open one more stream.
    pub fn can_open(&self) -> bool {
        !self.is_over()
            && self.role == Role::Client
            && self.is_greeted()
            && !self.end.announced
            && !self.end.peer_leaves
            && self.active < self.peer.max_concurrent_streams
            && self.next_local <= MAX_WINDOW
    }

    /// How many streams the peer takes at once; `None` until it has said so.
    pub fn peer_max_streams(&self) -> Option<u32> {
        self.is_greeted().then_some(self.peer.max_concurrent_streams)
    }
}
