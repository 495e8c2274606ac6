//! Moving content: up from the client to the backend, and down again.
//!
//! Each direction takes one piece at a time and only when the other side has room, so a slow reader
//! holds up its own sender and nothing is ever buffered whole.

use std::task::{Context, Poll, ready};

use sekisho_codec::Piece;
use sekisho_stream::{BodyKind, Downstream, StreamError, Upstream};
use sekisho_tls::Transport;

use super::mirror::MirrorFeed;
use super::record::Record;
use crate::watchdog::Activity;

/// Most pieces kept for another attempt: a content of many tiny ones costs more than its bytes.
const MOST_REPLAY_PIECES: usize = 1024;

/// Which side broke.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Downstream(StreamError),
    Upstream(StreamError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UploadState {
    /// The client sends its content when the backend says that it wants it (100-continue).
    Waiting,
    Sending,
    Flushing,
    Done,
    /// The backend takes no more; its answer may still come.
    Stopped,
}

/// The request's content on its way up, with a bounded memory for another attempt.
#[derive(Debug)]
pub struct Upload {
    state: UploadState,
    replay: Option<Replay>,
    /// Pieces of the replay sent in this attempt.
    cursor: usize,
    /// The client's content has been received whole.
    received_all: bool,
    /// Some content was taken from the client.
    consumed: bool,
    /// Content is asked for only when the backend says so.
    on_request: bool,
}

#[derive(Debug, Default)]
struct Replay {
    pieces: Vec<Piece>,
    bytes: usize,
    limit: usize,
}

impl Upload {
    /// `replay_bytes`: most content kept for another attempt.
    /// `on_request`: the client waits for leave to send (RFC 9110, 10.1.1), and the backend gives it.
    pub fn new(body: BodyKind, replay_bytes: usize, on_request: bool) -> Self {
        let empty = body.is_empty();
        Self {
            state: if on_request { UploadState::Waiting } else { UploadState::Sending },
            on_request,
            replay: (!empty).then(|| Replay { limit: replay_bytes, ..Replay::default() }),
            cursor: 0,
            received_all: empty,
            consumed: false,
        }
    }

    /// Everything taken from the client can be sent again.
    pub fn replayable(&self) -> bool {
        !self.consumed || self.replay.is_some()
    }

    pub fn restart(&mut self) {
        let waiting = self.on_request && !self.consumed;
        self.state = if waiting { UploadState::Waiting } else { UploadState::Sending };
        self.cursor = 0;
    }

    pub fn is_waiting(&self) -> bool {
        self.state == UploadState::Waiting
    }

    /// The backend wants the content, or has had its time to say that it does not.
    pub fn go_ahead(&mut self) {
        if self.is_waiting() {
            self.state = UploadState::Sending;
        }
    }

    /// No attempt follows: the memory of what was sent is let go.
    pub fn forget(&mut self) {
        if self.replay.as_ref().is_some_and(|replay| self.cursor >= replay.pieces.len()) {
            self.replay = None;
        }
    }

    pub fn is_done(&self) -> bool {
        self.state == UploadState::Done
    }

    /// Nothing of the request is left unread on the client's connection.
    pub fn received_all(&self) -> bool {
        self.received_all
    }

    pub fn stop(&mut self) {
        if self.state != UploadState::Done {
            self.state = UploadState::Stopped;
        }
    }

    /// Ready when all was sent, or when no more is to be sent.
    pub fn poll(&mut self, context: &mut Context<'_>, sides: &mut Sides<'_>) -> Poll<Result<(), Fault>> {
        loop {
            match self.state {
                UploadState::Waiting => {
                    ready!(sides.up.poll_flush(context)).map_err(Fault::Upstream)?;
                    return Poll::Pending;
                }
                UploadState::Sending if self.next_is_known_end() => {
                    sides.up.finish();
                    sides.feeds.iter_mut().for_each(MirrorFeed::finish);
                    self.state = UploadState::Flushing;
                }
                UploadState::Sending => ready!(self.poll_piece(context, sides))?,
                UploadState::Flushing => {
                    ready!(sides.up.poll_flush(context)).map_err(Fault::Upstream)?;
                    self.state = UploadState::Done;
                }
                UploadState::Done | UploadState::Stopped => return Poll::Ready(Ok(())),
            }
        }
    }

    fn next_is_known_end(&self) -> bool {
        self.received_all && self.replay.as_ref().is_none_or(|replay| self.cursor >= replay.pieces.len())
    }

    fn poll_piece(&mut self, context: &mut Context<'_>, sides: &mut Sides<'_>) -> Poll<Result<(), Fault>> {
        ready!(sides.up.poll_send_ready(context)).map_err(Fault::Upstream)?;
        if let Some(piece) = self.replayed() {
            self.cursor += 1;
            return Poll::Ready(sides.up.send(piece).map_err(Fault::Upstream));
        }
        if sides.is_spent() {
            return Poll::Pending;
        }
        match sides.down.poll_recv(context) {
            Poll::Pending => {
                // Nothing to add: what is queued goes out before waiting.
                if let Poll::Ready(Err(error)) = sides.up.poll_flush(context) {
                    return Poll::Ready(Err(Fault::Upstream(error)));
                }
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.received_all = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(Fault::Downstream(error))),
            Poll::Ready(Some(Ok(piece))) => {
                self.take(&piece, sides);
                Poll::Ready(sides.up.send(piece).map_err(Fault::Upstream))
            }
        }
    }

    fn replayed(&self) -> Option<Piece> {
        self.replay.as_ref().and_then(|replay| replay.pieces.get(self.cursor)).cloned()
    }

    fn take(&mut self, piece: &Piece, sides: &mut Sides<'_>) {
        sides.progress();
        self.consumed = true;
        if let Piece::Data(data) = piece {
            sides.record.bytes_received += data.len() as u64;
        }
        for feed in sides.feeds.iter_mut() {
            feed.send(piece);
        }
        let Some(replay) = &mut self.replay else {
            return;
        };
        if let Piece::Data(data) = piece {
            replay.bytes += data.len();
        }
        if replay.bytes > replay.limit || replay.pieces.len() >= MOST_REPLAY_PIECES {
            self.replay = None;
        } else {
            replay.pieces.push(piece.clone());
            self.cursor += 1;
        }
    }
}

/// The response's content on its way down.
#[derive(Debug)]
pub struct Download {
    flushing: bool,
}

impl Download {
    pub fn new(body: BodyKind) -> Self {
        Self { flushing: body.is_empty() }
    }

    /// Ready when the client has been sent everything.
    pub fn poll(&mut self, context: &mut Context<'_>, sides: &mut Sides<'_>) -> Poll<Result<(), Fault>> {
        while !self.flushing {
            ready!(sides.down.poll_send_ready(context)).map_err(Fault::Downstream)?;
            if sides.is_spent() {
                return Poll::Pending;
            }
            match sides.up.poll_recv(context) {
                Poll::Pending => {
                    if let Poll::Ready(Err(error)) = sides.down.poll_flush(context) {
                        return Poll::Ready(Err(Fault::Downstream(error)));
                    }
                    return Poll::Pending;
                }
                Poll::Ready(None) => {
                    sides.down.finish();
                    self.flushing = true;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Fault::Upstream(error))),
                Poll::Ready(Some(Ok(piece))) => {
                    sides.progress();
                    match &piece {
                        Piece::Data(data) => sides.record.bytes_sent += data.len() as u64,
                        Piece::Trailers(trailers) => sides.record.note_grpc_status(trailers),
                    }
                    sides.down.send(piece).map_err(Fault::Downstream)?;
                }
            }
        }
        sides.down.poll_flush(context).map_err(Fault::Downstream)
    }
}

/// Both ends of an exchange, and what watches it.
pub struct Sides<'a> {
    pub down: &'a mut Downstream<Transport>,
    pub up: &'a mut Upstream<Transport>,
    pub feeds: &'a mut Vec<MirrorFeed>,
    pub record: &'a mut Record,
    pub activity: &'a mut Activity,
    /// Most content both ways together, where it goes outside. Whoever polls has to look whether it was reached.
    pub most: u64,
}

impl Sides<'_> {
    fn is_spent(&self) -> bool {
        self.record.bytes_received + self.record.bytes_sent >= self.most
    }

    fn progress(&mut self) {
        self.activity.note();
    }
}
