//! One connection: the state that its frames share (RFC 9113, 3 to 6).
//!
//! [`Connection::receive`] takes in what has arrived, [`Connection::outgoing`] holds what is to be written, and
//! [`Connection::pop_changed`] names the streams whose owners should look again. A peer's mistake ends its stream or the
//! connection; the GOAWAY or RST_STREAM that says so waits to be written like everything else.

mod control;
mod data;
mod end;
mod headers;
mod receive;
mod send;

use std::collections::VecDeque;
use std::time::Instant;

use http::StatusCode;

use self::headers::Block;
pub use self::{data::Taken, send::Handed};
use super::budget::Budget;
use super::frame::{self, PREFACE};
use super::hpack::{DEFAULT_TABLE_SIZE, Decoder, Encoder};
use super::outgoing::Outgoing;
use super::settings::{DEFAULT_WINDOW, LocalSettings, PeerSettings};
use super::stream::StreamKey;
use super::streams::Streams;
use super::window::{ReceiveWindow, SendWindow};
use crate::{BodyKind, RequestHead, Scheme};

/// Streams that a client cancels before anybody has seen them.
const MAX_UNSEEN_RESETS: u32 = 50;
/// Streams that end because the peer broke the rules on them: provoking them must not be cheaper than cancelling.
const MAX_ERROR_RESETS: u32 = 200;
/// Frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and unknown ones. What carries something
/// makes up for [`USEFUL`] of them.
const MAX_IDLE_FRAMES: u32 = 2000;
const USEFUL: u32 = 10;
/// Nothing more is read while this much waits to be written: answers to a peer that does not read stay few.
const MAX_BACKLOG: usize = 128 * 1024;

/// Bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_concurrent_streams: u32,
    pub stream_window: u32,
    pub connection_window: u32,
    pub max_header_list_size: u32,
    /// Streams have to wait while this much waits to be written.
    pub max_send_buffer: usize,
    /// Streams that a client may cancel within half a minute.
    pub max_resets: u32,
    /// A client may ask for tunnels (RFC 9113, 8.5); otherwise a CONNECT request is answered with 501.
    pub takes_connect: bool,
    /// Requests keep the scheme that they name: for a forward proxy it is a part of where they are to go.
    pub keeps_scheme: bool,
    pub clock: fn() -> Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Requests get this scheme, whatever they claim, unless [`Limits::keeps_scheme`].
    Server(Scheme),
    Client,
}

/// A request whose head is complete.
#[derive(Debug)]
pub struct Accepted {
    pub stream: StreamKey,
    pub head: RequestHead,
    pub kind: BodyKind,
    /// The client waits for leave to send its content (RFC 9110, 10.1.1).
    pub expect_continue: bool,
}

/// How far the peer's beginning has come (RFC 9113, 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    Preface,
    Settings,
    Done,
}

#[derive(Debug)]
pub struct Connection {
    role: Role,
    limits: Limits,
    greeting: Greeting,
    decoder: Decoder,
    encoder: Encoder,
    peer: PeerSettings,
    settings_acknowledged: bool,
    streams: Streams,
    active: u32,
    /// The highest stream that the peer opened.
    last_peer: u32,
    next_local: u32,
    block: Option<Block>,
    out: Outgoing,
    window: ReceiveWindow,
    send_window: SendWindow,
    /// Streams that wait for the connection's window, or for what was queued to be written.
    blocked: Vec<StreamKey>,
    accepted: VecDeque<Accepted>,
    refused: VecDeque<StatusCode>,
    changed: Vec<StreamKey>,
    end: end::End,
    cancelled: Budget,
    unseen: Budget,
    errors: Budget,
    idle: Budget,
}

impl Connection {
    /// A connection whose beginning waits to be written.
    pub fn new(role: Role, limits: Limits) -> Self {
        let mut out = Outgoing::default();
        let server = role != Role::Client;
        if !server {
            out.buffer().extend_from_slice(PREFACE);
        }
        let settings = LocalSettings {
            max_concurrent_streams: server.then_some(limits.max_concurrent_streams),
            initial_window: limits.stream_window,
            max_header_list_size: limits.max_header_list_size,
        };
        settings.write(out.buffer());
        if let Some(increment) = limits.connection_window.checked_sub(DEFAULT_WINDOW).filter(|more| *more > 0) {
            frame::write_window_update(0, increment, out.buffer());
        }
        let window = limits.connection_window.max(DEFAULT_WINDOW);
        Self {
            role,
            limits,
            greeting: if server { Greeting::Preface } else { Greeting::Settings },
            decoder: Decoder::new(DEFAULT_TABLE_SIZE),
            encoder: Encoder::default(),
            peer: PeerSettings::default(),
            settings_acknowledged: false,
            streams: Streams::default(),
            active: 0,
            last_peer: 0,
            next_local: 1,
            block: None,
            out,
            window: ReceiveWindow::new(window, window),
            send_window: SendWindow::new(DEFAULT_WINDOW),
            blocked: Vec::new(),
            accepted: VecDeque::new(),
            refused: VecDeque::new(),
            changed: Vec::new(),
            end: end::End::default(),
            cancelled: Budget::new(limits.max_resets),
            unseen: Budget::new(MAX_UNSEEN_RESETS),
            errors: Budget::new(MAX_ERROR_RESETS),
            idle: Budget::new(MAX_IDLE_FRAMES),
        }
    }

    /// The next request.
    pub fn pop_accepted(&mut self) -> Option<Accepted> {
        self.accepted.pop_front()
    }

    /// The status with which a request was answered here, because its head was refused.
    pub fn pop_refused(&mut self) -> Option<StatusCode> {
        self.refused.pop_front()
    }

    /// A stream of which something changed that its owner may wait for.
    pub fn pop_changed(&mut self) -> Option<StreamKey> {
        self.changed.pop()
    }

    pub fn has_accepted(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// Some stream's owner has not let go of it.
    pub fn has_streams(&self) -> bool {
        self.streams.len() > 0
    }

    pub fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.out
    }

    /// `count` bytes of what waited have been written.
    pub fn written(&mut self, count: usize) {
        self.out.advance(count);
        if !self.blocked.is_empty() && self.out.len() < self.limits.max_send_buffer / 2 && self.send_window.room() > 0 {
            self.changed.append(&mut self.blocked);
        }
    }

    /// The peer has said what it takes.
    pub fn is_greeted(&self) -> bool {
        self.greeting == Greeting::Done
    }
}
