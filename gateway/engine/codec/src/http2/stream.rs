//! One stream: what it has received, what it is to send, and how it ended (RFC 9113, 5.1).

use std::collections::VecDeque;

use bytes::Bytes;

use super::Reason;
use super::content::Content;
use super::window::{ReceiveWindow, SendWindow};
use crate::{BodyKind, Headers, ResponseHead};

/// Names a stream while its owner holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKey {
    pub(super) slot: u32,
    pub(super) id: u32,
}

impl StreamKey {
    /// A small number, used again by later streams.
    #[inline]
    pub fn slot(self) -> usize {
        self.slot as usize
    }

    pub fn id(self) -> u32 {
        self.id
    }
}

/// How a stream came to a bad end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer reset it.
    Reset(Reason),
    /// The peer broke the rules, on the stream or on the connection.
    Violation(&'static str),
    /// The peer said that it will not look at it.
    NotProcessed,
    /// We reset it.
    Cancelled,
    /// The connection is gone.
    Lost,
}

/// The receiving half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// A client's stream whose final response has not come.
    Head,
    Content,
    /// END_STREAM has come.
    Ended,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub id: u32,
    pub receiving: Receiving,
    /// Informational heads first.
    pub heads: VecDeque<(ResponseHead, BodyKind)>,
    pub interim: u32,
    pub content: Content,
    pub trailers: Option<Headers>,
    /// What the length that was announced leaves (RFC 9113, 8.1.1).
    pub expected: Option<u64>,
    pub window: ReceiveWindow,
    pub head_request: bool,

    pub send_window: SendWindow,
    pub waiting: VecDeque<Bytes>,
    pub waiting_bytes: usize,
    pub send_trailers: Option<Headers>,
    /// Nothing more will be queued.
    pub send_ended: bool,
    /// END_STREAM has been written.
    pub send_done: bool,
    /// Content is dropped instead of sent: the head alone answers.
    pub discard: bool,

    pub failure: Option<Failure>,
    /// Counts towards the bound on concurrent streams.
    pub active: bool,
}

impl Stream {
    pub fn new(id: u32, receiving: Receiving, window: ReceiveWindow, send_window: SendWindow) -> Self {
        Self {
            id,
            receiving,
            heads: VecDeque::new(),
            interim: 0,
            content: Content::default(),
            trailers: None,
            expected: None,
            window,
            head_request: false,
            send_window,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            send_trailers: None,
            send_ended: false,
            send_done: false,
            discard: false,
            failure: None,
            active: true,
        }
    }

    pub fn is_closed(&self) -> bool {
        self.failure.is_some() || (self.receiving == Receiving::Ended && self.send_done)
    }
}
