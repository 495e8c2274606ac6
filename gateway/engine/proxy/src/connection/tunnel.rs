//! After an upgrade: bytes both ways until one side has ended, or nothing moves for too long.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use sekisho_stream::{Http1, Tunnel};
use sekisho_tls::Transport;

use super::ConnectionContext;
use crate::exchange::Upgraded;
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// An upgraded connection is idle like a connection, not like a request: WebSockets live long.
pub async fn run(context: &ConnectionContext, down: Http1<Transport>, upgraded: Upgraded, mut watchdog: Watchdog) {
    let Upgraded { up, mut record, _in_flight } = upgraded;
    let mut tunnel = Tunnel::new(down.into_parts(), up.into_parts());
    let mut moved = tunnel.copied();
    let mut activity = Instant::now();
    poll_fn(|task| {
        let ended = Pin::new(&mut tunnel).poll(task);
        if tunnel.copied() != moved {
            moved = tunnel.copied();
            activity = Instant::now();
        }
        if ended.is_ready() {
            return Poll::Ready(());
        }
        let (idle, leave) = (after(activity, context.limits.connection_idle_timeout_ms), context.leave_by());
        watchdog.poll_expired(task, earliest(idle, leave)).map(|()| {
            let told = leave.is_some_and(|leave| leave <= Instant::now());
            record.reason = if told { Reason::RequestTimeout } else { Reason::StreamIdleTimeout };
        })
    })
    .await;
    record.settle(Instant::now());
    (record.bytes_received, record.bytes_sent) = moved;
}
