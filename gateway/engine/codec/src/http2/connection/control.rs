//! The frames that carry no message (RFC 9113, 6.3 to 6.9).

use super::{Connection, Role, end::GOODBYE};
use crate::http2::frame::{FrameHead, flag, kind, write_head, write_ping};
use crate::http2::settings::DEFAULT_WINDOW;
use crate::http2::stream::{Failure, StreamKey};
use crate::http2::streams::ResetBy;
use crate::http2::{ConnectionError, Fault, Reason};

const WRONG_LENGTH: ConnectionError = ConnectionError::new(Reason::FRAME_SIZE_ERROR, "a frame of a wrong length");

impl Connection {
    pub(super) fn receive_settings(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), ConnectionError> {
        if head.stream != 0 {
            return Err(ConnectionError::protocol("settings for a stream"));
        }
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(WRONG_LENGTH);
            }
            self.apply_own_settings();
            return Ok(());
        }
        self.count_idle()?;
        let before = self.peer.initial_window;
        self.peer.update(payload, self.role == Role::Client)?;
        self.encoder.set_limit(self.peer.header_table_size);
        write_head(0, kind::SETTINGS, flag::ACK, 0, self.out.buffer());
        let by = i64::from(self.peer.initial_window) - i64::from(before);
        if by == 0 {
            return Ok(());
        }
        let fits = self.streams.each().map(|stream| stream.send_window.grow(by)).fold(true, |all, one| all & one);
        if !fits {
            return Err(ConnectionError::new(Reason::FLOW_CONTROL_ERROR, "a window that is too large"));
        }
        self.changed.extend(self.streams.keys());
        Ok(())
    }

    /// The peer knows our windows: where they are smaller than the default, what it believed is corrected.
    fn apply_own_settings(&mut self) {
        if !std::mem::replace(&mut self.settings_acknowledged, true) {
            let by = DEFAULT_WINDOW.saturating_sub(self.limits.stream_window);
            self.streams.each().for_each(|stream| stream.window.shrink(by));
        }
    }

    pub(super) fn receive_ping(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), ConnectionError> {
        if head.stream != 0 {
            return Err(ConnectionError::protocol("a ping for a stream"));
        }
        let payload: [u8; 8] = payload.try_into().map_err(|_| WRONG_LENGTH)?;
        self.count_idle()?;
        match head.has(flag::ACK) {
            false => write_ping(flag::ACK, payload, self.out.buffer()),
            true if payload == GOODBYE => self.settle_end(),
            true => {}
        }
        Ok(())
    }

    pub(super) fn receive_goaway(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), ConnectionError> {
        if head.stream != 0 {
            return Err(ConnectionError::protocol("a goodbye for a stream"));
        }
        let last: [u8; 4] = *payload.first_chunk().filter(|_| payload.len() >= 8).ok_or(WRONG_LENGTH)?;
        self.count_idle()?;
        self.end.peer_leaves = true;
        if self.role == Role::Client {
            let last = u32::from_be_bytes(last) & 0x7fff_ffff;
            let unprocessed: Vec<StreamKey> = self.streams.keys().filter(|key| key.id > last).collect();
            for key in unprocessed {
                self.end_stream(key, Failure::NotProcessed);
            }
        }
        Ok(())
    }

    pub(super) fn receive_window_update(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let increment: [u8; 4] = payload.try_into().map_err(|_| WRONG_LENGTH)?;
        let increment = i64::from(u32::from_be_bytes(increment) & 0x7fff_ffff);
        self.count_idle()?;
        if head.stream == 0 {
            if increment == 0 {
                return Err(ConnectionError::protocol("an update of nothing").into());
            }
            if !self.send_window.grow(increment) {
                return Err(ConnectionError::new(Reason::FLOW_CONTROL_ERROR, "a window that is too large").into());
            }
            self.changed.append(&mut self.blocked);
            return Ok(());
        }
        if self.is_idle(head.stream) {
            return Err(ConnectionError::protocol("an update for a stream that nobody opened").into());
        }
        let Some(key) = self.streams.find(head.stream) else { return Ok(()) };
        if increment == 0 {
            return Err(Fault::Stream(key.id, Reason::PROTOCOL_ERROR, "an update of nothing"));
        }
        if let Some(stream) = self.streams.get(key).filter(|stream| !stream.is_closed()) {
            if !stream.send_window.grow(increment) {
                return Err(Fault::Stream(key.id, Reason::FLOW_CONTROL_ERROR, "a window that is too large"));
            }
            if !stream.waiting.is_empty() {
                self.changed.push(key);
            }
        }
        Ok(())
    }

    pub(super) fn receive_reset(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let reason: [u8; 4] = payload.try_into().map_err(|_| WRONG_LENGTH)?;
        if head.stream == 0 || self.is_idle(head.stream) {
            return Err(ConnectionError::protocol("a reset of a stream that nobody opened").into());
        }
        let Some(key) = self.streams.find(head.stream) else { return Ok(self.count_idle()?) };
        let complete = self.streams.peek(key).is_none_or(|stream| stream.is_closed());
        if complete {
            return Ok(self.count_idle()?);
        }
        self.streams.remember_reset(key.id, ResetBy::Peer);
        let calm = ConnectionError::new(Reason::ENHANCE_YOUR_CALM, "the client cancels too many streams");
        if self.forget_accepted(key) {
            return if self.unseen.spend(self.limits.clock) { Ok(()) } else { Err(calm.into()) };
        }
        self.end_stream(key, Failure::Reset(Reason::from(u32::from_be_bytes(reason))));
        if self.role != Role::Client && !self.cancelled.spend(self.limits.clock) {
            return Err(calm.into());
        }
        Ok(())
    }

    /// Priorities mean nothing any more (RFC 9113, 5.3.2); they still have a form (6.3).
    pub(super) fn receive_priority(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(ConnectionError::protocol("a priority for no stream").into());
        }
        self.count_idle()?;
        let &[a, b, c, d, _weight] = payload else {
            return Err(Fault::Stream(head.stream, Reason::FRAME_SIZE_ERROR, "a priority of a wrong length"));
        };
        if u32::from_be_bytes([a & 0x7f, b, c, d]) == head.stream {
            return Err(Fault::Stream(head.stream, Reason::PROTOCOL_ERROR, "a stream that depends on itself"));
        }
        Ok(())
    }
}
