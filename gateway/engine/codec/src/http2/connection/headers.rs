//! Blocks of fields: put together, decoded, and given to the stream they belong to (RFC 9113, 4.3, 6.2 and 6.10).

use super::{Accepted, Connection, Role, USEFUL};
use crate::http1::HeadError;
use crate::http2::frame::{FrameHead, MAX_PAYLOAD, flag, without_padding, write_reset};
use crate::http2::hpack::{Decoder, Field, HpackError};
use crate::http2::request::{Asks, Refusal, RequestFields};
use crate::http2::response::{ResponseFields, TrailerFields};
use crate::http2::settings::DEFAULT_WINDOW;
use crate::http2::stream::{Receiving, Stream, StreamKey};
use crate::http2::streams::ResetBy;
use crate::http2::window::{ReceiveWindow, SendWindow};
use crate::http2::{ConnectionError, Fault, Reason, write};
use crate::{BodyKind, Headers, ResponseHead, Scheme};

/// Informational responses that wait to be taken, and all that one stream may have.
const MAX_INTERIM: u32 = 128;

/// A block that has not arrived whole.
#[derive(Debug)]
pub(super) struct Block {
    start: BlockStart,
    bytes: Vec<u8>,
    frames: usize,
}

#[derive(Clone, Copy, Debug)]
struct BlockStart {
    stream: u32,
    end_stream: bool,
    /// It says that its stream depends on itself (RFC 9113, 5.3.1 is deprecated; RFC 7540, 5.3.1 forbids it).
    own_parent: bool,
}

impl Block {
    pub fn stream(&self) -> u32 {
        self.start.stream
    }
}

impl Connection {
    pub(super) fn receive_headers(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(ConnectionError::protocol("fields for no stream").into());
        }
        let mut fragment = without_padding(head, payload).ok_or(ConnectionError::protocol("too much padding"))?;
        let mut start = BlockStart { stream: head.stream, end_stream: head.has(flag::END_STREAM), own_parent: false };
        if head.has(flag::PRIORITY) {
            let Some(([a, b, c, d, _weight], rest)) = fragment.split_first_chunk() else {
                return Err(ConnectionError::new(Reason::FRAME_SIZE_ERROR, "a priority that is cut off").into());
            };
            start.own_parent = u32::from_be_bytes([a & 0x7f, *b, *c, *d]) == head.stream;
            fragment = rest;
        }
        if head.has(flag::END_HEADERS) {
            return self.receive_block(start, fragment);
        }
        self.block = Some(Block { start, bytes: fragment.to_vec(), frames: 0 });
        Ok(())
    }

    /// A block takes no more frames than its list needs with some waste: an endless one costs memory, and an empty one
    /// time (CVE-2024-27316 and its like).
    pub(super) fn receive_continuation(&mut self, head: &FrameHead, payload: &[u8]) -> Result<(), Fault> {
        let needed = self.limits.max_header_list_size as usize / MAX_PAYLOAD;
        let Some(mut block) = self.block.take() else { return Ok(()) };
        block.frames += 1;
        if block.frames > needed + needed / 4 + 5 {
            let text = "a block of fields takes too many frames";
            return Err(ConnectionError::new(Reason::ENHANCE_YOUR_CALM, text).into());
        }
        block.bytes.extend_from_slice(payload);
        if head.has(flag::END_HEADERS) {
            return self.receive_block(block.start, &block.bytes);
        }
        self.block = Some(block);
        Ok(())
    }

    fn receive_block(&mut self, start: BlockStart, block: &[u8]) -> Result<(), Fault> {
        let id = start.stream;
        let outcome = match (self.streams.find(id), self.role) {
            (Some(key), _) => self.receive_on_stream(key, start, block),
            (None, Role::Server(scheme)) if id > self.last_peer => return self.receive_request(start, block, scheme),
            (None, _) => {
                decode(&mut self.decoder, block, |_, _| {})?;
                return self.receive_on_closed(id);
            }
        };
        if start.own_parent {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR, "a stream that depends on itself"));
        }
        outcome
    }

    fn receive_on_closed(&mut self, id: u32) -> Result<(), Fault> {
        if self.is_idle(id) {
            return Err(ConnectionError::protocol("fields for a stream that nobody opened").into());
        }
        self.count_idle()?;
        match (self.streams.reset_by(id), self.role) {
            // They were under way.
            (Some(ResetBy::Us), _) | (None, Role::Client) => Ok(()),
            (Some(ResetBy::Peer), _) => Err(Fault::Stream(id, Reason::STREAM_CLOSED, "fields for a closed stream")),
            (None, Role::Server(_)) => {
                Err(ConnectionError::new(Reason::STREAM_CLOSED, "fields for a closed stream").into())
            }
        }
    }

    /// True for streams that the side which would have to has not opened.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        match self.role {
            Role::Server(_) => id.is_multiple_of(2) || id > self.last_peer,
            Role::Client => id.is_multiple_of(2) || id >= self.next_local,
        }
    }

    fn receive_request(&mut self, start: BlockStart, block: &[u8], scheme: Scheme) -> Result<(), Fault> {
        let id = start.stream;
        if id.is_multiple_of(2) {
            return Err(ConnectionError::protocol("a client's stream with a server's number").into());
        }
        self.last_peer = id;
        if self.is_too_late(id) {
            return Ok(decode(&mut self.decoder, block, |_, _| {})?);
        }
        let mut fields = RequestFields::new(self.limits.max_header_list_size as usize);
        decode(&mut self.decoder, block, |field, size| fields.take(field, size))?;
        if start.own_parent {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR, "a stream that depends on itself"));
        }
        // Streams whose owners have not noticed their end take room as well.
        let room = self.limits.max_concurrent_streams;
        if self.active >= room || self.streams.len() >= 2 * room as usize + 16 {
            return Err(Fault::Stream(id, Reason::REFUSED_STREAM, "more streams than allowed"));
        }
        let asks = Asks { takes_connect: self.limits.takes_connect, keeps_scheme: self.limits.keeps_scheme };
        let request = match fields.finish(scheme, start.end_stream, asks) {
            Ok(request) => request,
            Err(Refusal::Malformed(text)) => return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR, text)),
            Err(Refusal::Answered(error)) => return Ok(self.answer_refused(start, error)?),
        };
        let receiving = if start.end_stream { Receiving::Ended } else { Receiving::Content };
        let mut stream = self.new_stream(id, receiving);
        if let BodyKind::Length(length) = request.kind {
            stream.expected = Some(length);
        }
        stream.head_request = request.head.method == http::Method::HEAD;
        self.active += 1;
        self.idle.earn(USEFUL);
        let stream = self.streams.insert(stream);
        let (head, kind, expect_continue) = (request.head, request.kind, request.expect_continue);
        self.accepted.push_back(Accepted { stream, head, kind, expect_continue });
        Ok(())
    }

    pub(super) fn new_stream(&self, id: u32, receiving: Receiving) -> Stream {
        let size = self.limits.stream_window;
        // Until it has our settings, the peer believes in the default.
        let believed = if self.settings_acknowledged { size } else { size.max(DEFAULT_WINDOW) };
        Stream::new(id, receiving, ReceiveWindow::new(believed, size), SendWindow::new(self.peer.initial_window))
    }

    /// The head makes sense to HTTP/2, and is refused: the client is told so.
    fn answer_refused(&mut self, start: BlockStart, error: HeadError) -> Result<(), ConnectionError> {
        // It is cheaper to provoke than a request.
        self.count_idle()?;
        let head = ResponseHead { status: error.status(), headers: Headers::default() };
        let place = write::Place { stream: start.stream, end_stream: true };
        write::response(&head, BodyKind::Empty, false, place, &mut self.encoder, self.out.buffer());
        if !start.end_stream {
            write_reset(start.stream, Reason::NO_ERROR, self.out.buffer());
            self.streams.remember_reset(start.stream, ResetBy::Us);
        }
        self.refused.push_back(head.status);
        Ok(())
    }

    fn receive_on_stream(&mut self, key: StreamKey, start: BlockStart, block: &[u8]) -> Result<(), Fault> {
        let limit = self.limits.max_header_list_size as usize;
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        if stream.failure.is_some() || stream.receiving == Receiving::Ended {
            let ours = stream.failure.is_some() && self.streams.reset_by(key.id) != Some(ResetBy::Peer);
            decode(&mut self.decoder, block, |_, _| {})?;
            self.count_idle()?;
            let closed = Fault::Stream(key.id, Reason::STREAM_CLOSED, "fields for a closed stream");
            return if ours { Ok(()) } else { Err(closed) };
        }
        let malformed = |text| Fault::Stream(key.id, Reason::PROTOCOL_ERROR, text);
        if stream.receiving == Receiving::Head {
            let mut fields = ResponseFields::new(limit);
            decode(&mut self.decoder, block, |field, size| fields.take(field, size))?;
            let response = fields.finish(stream.head_request, start.end_stream).map_err(malformed)?;
            if response.head.status.is_informational() {
                stream.interim += 1;
                if stream.interim > MAX_INTERIM {
                    return Err(Fault::Stream(key.id, Reason::ENHANCE_YOUR_CALM, "too many informational responses"));
                }
            } else {
                stream.receiving = Receiving::Content;
                stream.expected = response.expected;
            }
            stream.heads.push_back((response.head, response.kind));
            self.idle.earn(USEFUL);
        } else {
            let mut fields = TrailerFields::new(limit);
            decode(&mut self.decoder, block, |field, size| fields.take(field, size))?;
            if !start.end_stream {
                return Err(malformed("trailers that end nothing"));
            }
            stream.trailers = Some(fields.finish().map_err(malformed)?).filter(|trailers| !trailers.is_empty());
        }
        self.changed.push(key);
        if start.end_stream { self.receive_end(key) } else { Ok(()) }
    }
}

fn decode(decoder: &mut Decoder, block: &[u8], take: impl FnMut(Field, usize)) -> Result<(), ConnectionError> {
    decoder.decode(block, take).map_err(|HpackError(text)| ConnectionError::new(Reason::COMPRESSION_ERROR, text))
}
