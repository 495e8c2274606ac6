//! What a connection shares with its streams: the codec's state, and who waits for what.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use sekisho_codec::Piece;
use sekisho_codec::http2::{Connection, Failure, Handed, StreamKey, Taken};

use super::HIGH_WATER;
use super::link::lend;
use crate::StreamError;

#[derive(Clone)]
pub(super) struct Shared {
    state: Rc<RefCell<State>>,
}

pub(super) struct State {
    pub connection: Connection,
    /// By slot. A stream is polled by one task.
    waiting: Vec<Option<Waker>>,
    /// The task that moves the connection's bytes.
    mover: Option<Waker>,
    /// That task is at it, and will look at what is queued before it rests.
    in_turn: bool,
}

impl Shared {
    pub fn new(connection: Connection) -> Self {
        let state = State { connection, waiting: Vec::new(), mover: None, in_turn: false };
        Self { state: Rc::new(RefCell::new(state)) }
    }

    #[inline]
    pub fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }
}

impl State {
    /// The task that moves the bytes begins a turn: until it rests, it need not be woken.
    pub fn begin_turn(&mut self) {
        self.in_turn = true;
    }

    /// The turn ends: whoever queues something from here on wakes the task.
    pub fn rest(&mut self, cx: &Context<'_>) {
        self.in_turn = false;
        if self.mover.as_ref().is_none_or(|mover| !mover.will_wake(cx.waker())) {
            self.mover = Some(cx.waker().clone());
        }
    }

    /// Wakes the owners of the streams that changed; true when there was one.
    pub fn wake_changed(&mut self) -> bool {
        let mut woken = false;
        while let Some(key) = self.connection.pop_changed() {
            if let Some(waker) = self.waiting.get_mut(key.slot()).and_then(Option::take) {
                waker.wake();
                woken = true;
            }
        }
        woken
    }

    /// The connection is gone: everybody who waits learns it.
    pub fn lose(&mut self) {
        self.connection.lose();
        self.wake_changed();
    }

    /// Something may wait to be written.
    #[inline]
    pub fn notify(&mut self) {
        if !self.in_turn && (!self.connection.outgoing().is_empty() || self.connection.is_finished()) {
            // Once is enough for a turn.
            self.in_turn = true;
            match &self.mover {
                Some(mover) => mover.wake_by_ref(),
                None => self.in_turn = false,
            }
        }
    }

    /// Before something is written.
    #[inline]
    pub fn prepare(&mut self) {
        lend(&mut self.connection);
    }

    fn park<T>(&mut self, key: StreamKey, cx: &Context<'_>) -> Poll<T> {
        if self.waiting.len() <= key.slot() {
            self.waiting.resize(key.slot() + 1, None);
        }
        let waiting = &mut self.waiting[key.slot()];
        if waiting.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *waiting = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    pub fn poll_recv(&mut self, key: StreamKey, cx: &Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        let taken = self.connection.take(key);
        Poll::Ready(match taken {
            Taken::Piece(piece) => {
                self.notify();
                Some(Ok(piece))
            }
            Taken::End => None,
            Taken::Failed(failure) => Some(Err(StreamError::from_failure(failure))),
            Taken::Waiting => return self.park(key, cx),
        })
    }

    pub fn poll_send_ready(&mut self, key: StreamKey, cx: &Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.connection.queued(key) < HIGH_WATER {
            return Poll::Ready(Ok(()));
        }
        let handed = self.hand_over(key);
        if handed == Handed::Blocked && self.connection.queued(key) < HIGH_WATER {
            return Poll::Ready(Ok(()));
        }
        self.poll_handed(handed, key, cx)
    }

    pub fn poll_flush(&mut self, key: StreamKey, cx: &Context<'_>) -> Poll<Result<(), StreamError>> {
        let handed = self.hand_over(key);
        self.poll_handed(handed, key, cx)
    }

    fn hand_over(&mut self, key: StreamKey) -> Handed {
        self.prepare();
        let handed = self.connection.hand_over(key);
        self.notify();
        handed
    }

    fn poll_handed(&mut self, handed: Handed, key: StreamKey, cx: &Context<'_>) -> Poll<Result<(), StreamError>> {
        match handed {
            Handed::All => Poll::Ready(Ok(())),
            Handed::Failed(failure) => Poll::Ready(Err(StreamError::from_failure(failure))),
            Handed::Blocked => self.park(key, cx),
        }
    }

    /// Ready when the stream came to a bad end.
    pub fn poll_failure(&mut self, key: StreamKey, cx: &Context<'_>) -> Poll<Failure> {
        match self.connection.failure(key) {
            Some(failure) => Poll::Ready(failure),
            None => self.park(key, cx),
        }
    }

    pub fn poll_response(
        &mut self,
        key: StreamKey,
        cx: &Context<'_>,
    ) -> Poll<Result<(sekisho_codec::ResponseHead, sekisho_codec::BodyKind), StreamError>> {
        match self.connection.take_response(key) {
            Ok(Some(response)) => Poll::Ready(Ok(response)),
            Ok(None) => self.park(key, cx),
            Err(failure) => Poll::Ready(Err(StreamError::from_failure(failure))),
        }
    }

    pub fn queue(&mut self, key: StreamKey, piece: Piece) -> Result<(), StreamError> {
        match self.connection.queue(key, piece) {
            true => Ok(()),
            false => Err(StreamError::protocol("content was sent after its end")),
        }
    }

    /// The owner of a stream is gone.
    pub fn release(&mut self, key: StreamKey) {
        if let Some(waiting) = self.waiting.get_mut(key.slot()) {
            *waiting = None;
        }
        self.connection.release(key);
        self.notify();
    }
}
