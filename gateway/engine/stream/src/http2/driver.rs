//! Moving the bytes of one connection, in the task of whoever polls it.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::link::Link;
use super::shared::{Shared, State};

/// Reads in one turn: a peer that never stops sending does not keep what is queued from being written.
const MOST_READS: u32 = 8;

pub(super) struct Driver<IO> {
    link: Link<IO>,
    shared: Shared,
    reads: u32,
    /// What is queued waits for streams that were woken: they may have something to add.
    deferred: bool,
}

/// How a turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Requests may have come.
    Received,
    /// Everything has been written, and nothing follows.
    Finished,
    /// The transport has ended, or failed.
    Lost,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    pub fn new(link: Link<IO>, shared: Shared) -> Self {
        Self { link, shared, reads: 0, deferred: false }
    }

    /// Reads as long as something comes, then writes. Pending ends the turn.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Moved> {
        let shared = self.shared.clone();
        let mut state = shared.state();
        state.begin_turn();
        let mut woken = false;
        while self.reads < MOST_READS && state.connection.wants_input() {
            if !self.link.receive_left(&mut state.connection) {
                match self.link.poll_receive(cx, &mut state.connection) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(Moved::Lost),
                    Poll::Pending => break,
                }
            }
            self.reads += 1;
            woken |= state.wake_changed();
            if state.connection.has_accepted() {
                return Poll::Ready(Moved::Received);
            }
        }
        self.poll_write(cx, &mut state, woken)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, state: &mut State, woken: bool) -> Poll<Moved> {
        let more = std::mem::take(&mut self.reads) >= MOST_READS;
        // Streams that have just been woken may want to add to the same write. They are waited for once.
        if woken && !std::mem::replace(&mut self.deferred, true) && !state.connection.is_finished() {
            state.rest(cx);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.deferred = false;
        let outcome = self.link.poll_flush(cx, &mut state.connection);
        let unblocked = state.wake_changed();
        match outcome {
            Poll::Ready(Err(_)) => return Poll::Ready(Moved::Lost),
            Poll::Ready(Ok(())) if state.connection.is_finished() => {
                // Failing to say goodbye to a peer that is gone changes nothing, and one that broke the rules is not
                // waited for.
                let said = self.link.poll_shutdown(cx);
                if said.is_pending() && state.connection.error().is_none() {
                    return Poll::Pending;
                }
                return Poll::Ready(Moved::Finished);
            }
            // A peer that broke the rules and does not read is not waited for.
            Poll::Pending if state.connection.error().is_some() => return Poll::Ready(Moved::Lost),
            _ => {}
        }
        state.rest(cx);
        if more || (unblocked && outcome.is_ready()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<IO> Drop for Driver<IO> {
    fn drop(&mut self) {
        self.shared.state().lose();
    }
}
