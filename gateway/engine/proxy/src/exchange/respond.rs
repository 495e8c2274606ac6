//! Writing a response to the client, whichever version it speaks.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use sekisho_codec::Piece;
use sekisho_stream::{Downstream, Reason, ResponseOptions, StreamError};
use sekisho_tls::Transport;

use super::reply::Message;
use crate::watchdog::Watchdog;

/// Queues a whole message.
pub fn whole(
    down: &mut Downstream<Transport>,
    message: Message,
    options: &ResponseOptions<'_>,
) -> Result<(), StreamError> {
    down.start_response(&message.head, message.kind, options)?;
    if !message.body.is_empty() {
        down.send(Piece::Data(message.body))?;
    }
    if !message.kind.is_empty() {
        down.finish();
    }
    Ok(())
}

/// Waits until everything queued has been taken by the connection.
pub async fn flush(
    down: &mut Downstream<Transport>,
    watchdog: &mut Watchdog,
    deadline: Option<Instant>,
) -> Result<(), ()> {
    poll_fn(|task| match down.poll_flush(task) {
        Poll::Ready(result) => Poll::Ready(result.map_err(|_| ())),
        Poll::Pending => watchdog.poll_expired(task, deadline).map(|()| Err(())),
    })
    .await
}

/// The answer is not whole.
pub fn abort(down: &mut Downstream<Transport>) {
    down.reset(Reason::INTERNAL_ERROR);
}
