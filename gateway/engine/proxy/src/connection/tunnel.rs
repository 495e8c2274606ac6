//! After an upgrade: bytes both ways until one side has ended, or nothing moves for too long.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use sekisho_stream::{Http1, Tunnel};
use sekisho_tls::Transport;

use super::ConnectionContext;
use crate::egress::Leave;
use crate::exchange::Upgraded;
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// An upgraded connection is idle like a connection, not like a request: WebSockets live long.
pub async fn run(context: &ConnectionContext, down: Http1<Transport>, upgraded: Upgraded, mut watchdog: Watchdog) {
    let Upgraded { up, mut record, mut leave, _in_flight } = upgraded;
    let most = leave.as_deref().map_or(u64::MAX, Leave::most);
    let mut tunnel = Tunnel::new(down.into_parts(), up.into_parts()).with_most(most);
    let mut moved = tunnel.copied();
    let mut activity = Instant::now();
    let until = leave.as_ref().and_then(|leave| leave.until);
    poll_fn(|task| {
        // Policies first: what is no longer allowed moves no further.
        if let Some(Err(reason)) = leave.as_mut().map(|leave| leave.check(moved.0, moved.1)) {
            record.reason = reason;
            return Poll::Ready(());
        }
        let ended = Pin::new(&mut tunnel).poll(task);
        if tunnel.copied() != moved {
            moved = tunnel.copied();
            activity = Instant::now();
        }
        if ended.is_ready() {
            return Poll::Ready(());
        }
        if let Some(Err(reason)) = leave.as_mut().map(|leave| leave.check(moved.0, moved.1)) {
            record.reason = reason;
            return Poll::Ready(());
        }
        let (idle, told) = (after(activity, context.limits.connection_idle_timeout_ms), context.leave_by());
        watchdog.poll_expired(task, earliest(earliest(idle, told), until)).map(|()| {
            let passed = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= Instant::now());
            record.reason = if passed(until) {
                Reason::EgressLimit
            } else if passed(told) {
                Reason::RequestTimeout
            } else {
                Reason::StreamIdleTimeout
            };
        })
    })
    .await;
    record.settle(Instant::now());
    (record.bytes_received, record.bytes_sent) = moved;
    if let Some(leave) = leave {
        leave.finish(record.reason, moved.0, moved.1);
    }
}
