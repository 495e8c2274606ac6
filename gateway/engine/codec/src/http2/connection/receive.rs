//! Taking frames out of what has arrived, in the order that they have to come in (RFC 9113, 3.4, 4 and 5.4).

use bytes::{Buf, BytesMut};

use super::{Connection, Greeting, MAX_BACKLOG};
use crate::http2::frame::{FrameHead, HEAD, MAX_PAYLOAD, PREFACE, flag, kind};
use crate::http2::{ConnectionError, Fault, Reason};

impl Connection {
    /// Takes in every whole frame of `input`, as far as room for the answers goes.
    pub fn receive(&mut self, input: &mut BytesMut) {
        while self.wants_input() {
            match self.step(input) {
                Ok(true) => {}
                Ok(false) => return,
                Err(Fault::Connection(error)) => self.fail(error),
                Err(Fault::Stream(stream, reason, text)) => self.refuse_stream(stream, reason, text),
            }
        }
        if self.is_over() {
            input.clear();
        }
    }

    /// True while it makes sense to read.
    pub fn wants_input(&self) -> bool {
        !self.is_over() && self.out.len() < MAX_BACKLOG
    }

    fn step(&mut self, input: &mut BytesMut) -> Result<bool, Fault> {
        if self.greeting == Greeting::Preface {
            let seen = input.len().min(PREFACE.len());
            if input[..seen] != PREFACE[..seen] {
                return Err(ConnectionError::protocol("the peer does not speak HTTP/2").into());
            }
            if seen < PREFACE.len() {
                return Ok(false);
            }
            input.advance(seen);
            self.greeting = Greeting::Settings;
        }
        let Some(head) = FrameHead::parse(input) else { return Ok(false) };
        if head.length > MAX_PAYLOAD {
            return Err(ConnectionError::new(Reason::FRAME_SIZE_ERROR, "a frame that is too large").into());
        }
        if input.len() < HEAD + head.length {
            return Ok(false);
        }
        self.check_order(&head)?;
        if head.kind == kind::DATA {
            return self.receive_data(&head, input).map(|()| true);
        }
        let outcome = self.receive_frame(&head, &input[HEAD..HEAD + head.length]);
        input.advance(HEAD + head.length);
        outcome.map(|()| true)
    }

    /// Settings come first (RFC 9113, 3.4), and nothing comes between the parts of a block (6.10).
    fn check_order(&mut self, head: &FrameHead) -> Result<(), ConnectionError> {
        if self.greeting == Greeting::Settings {
            if head.kind != kind::SETTINGS || head.has(flag::ACK) {
                return Err(ConnectionError::protocol("the peer does not begin with its settings"));
            }
            self.greeting = Greeting::Done;
        }
        let continues = head.kind == kind::CONTINUATION;
        match &self.block {
            Some(block) if !continues || block.stream() != head.stream => {
                Err(ConnectionError::protocol("a block of fields that is interrupted"))
            }
            None if continues => Err(ConnectionError::protocol("a continuation of nothing")),
            _ => Ok(()),
        }
    }

    fn receive_frame(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        match head.kind {
            kind::HEADERS => self.receive_headers(head, payload),
            kind::CONTINUATION => self.receive_continuation(head, payload),
            kind::RST_STREAM => self.receive_reset(head, payload),
            kind::WINDOW_UPDATE => self.receive_window_update(head, payload),
            kind::SETTINGS => Ok(self.receive_settings(head, payload)?),
            kind::PING => Ok(self.receive_ping(head, payload)?),
            kind::GOAWAY => Ok(self.receive_goaway(head, payload)?),
            kind::PRIORITY => self.receive_priority(head, payload),
            kind::PUSH_PROMISE => Err(ConnectionError::protocol("a push that nobody allowed").into()),
            // Unknown frames mean nothing (RFC 9113, 4.1).
            _ => Ok(self.count_idle()?),
        }
    }

    pub(super) fn count_idle(&mut self) -> Result<(), ConnectionError> {
        if self.idle.spend(self.limits.clock) {
            return Ok(());
        }
        Err(ConnectionError::new(Reason::ENHANCE_YOUR_CALM, "the peer sends frames that carry nothing"))
    }
}
