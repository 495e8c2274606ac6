//! A request in the clear and its answer. Each is decided by itself, also on a connection that carried others before.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::{PROXY_AUTHORIZATION, UPGRADE};
use http::{Method, StatusCode, Version};
use sekisho_codec::Piece;
use sekisho_codec::http1::ForwardRequest;
use sekisho_egress::Host;
use sekisho_stream::{BodyKind, Http1, ResponseOptions};
use sekisho_table::EgressLimits;
use sekisho_tls::Transport;

use super::client::Client;
use super::open::{self, Asked, Permit, Refused};
use super::record::Record;
use crate::exchange::UPSTREAM_HEAD;
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// The connection to where the last request went.
pub struct Upstream {
    host: Host,
    port: u16,
    address: IpAddr,
    connection: Http1<Transport>,
}

/// `Ok(true)`: answered, and the client may go on. `Ok(false)`: the connection must end.
pub async fn exchange(
    client: &Client,
    down: &mut Http1<Transport>,
    forward: ForwardRequest,
    asked: &Asked,
    kept: &mut Option<Upstream>,
    record: &mut Record,
) -> Result<bool, Refused> {
    let reusable =
        kept.take().filter(|kept| kept.host == asked.host && kept.port == asked.port && kept.connection.is_reusable());
    let (permit, mut up) = match reusable {
        Some(known) => {
            let (permit, _) = open::permit(client, asked, Some(known.address), record).await?;
            record.dialled = Some(SocketAddr::new(known.address, asked.port));
            (permit, known)
        }
        None => {
            let (permit, stream) = open::open(client, asked, record).await?;
            let connection = Http1::new(Transport::Tcp(stream));
            let up = Upstream { host: asked.host.clone(), port: asked.port, address: permit.address, connection };
            (permit, up)
        }
    };
    record.allowed();
    let mut head = forward.request.head;
    let method = head.method.clone();
    let version = head.version;
    head.headers.remove(&PROXY_AUTHORIZATION);
    head.headers.remove(&UPGRADE);
    if up.connection.start_request(&head, BodyKind::from(forward.request.framing), None).is_err() {
        record.end = Reason::UpstreamReset;
        return Ok(false);
    }
    let limits = permit.grant.rule.as_ref().map(|rule| *rule.limits()).unwrap_or_default();
    let relay = Relay { client, down, up: &mut up.connection, method, version, answered: false };
    let outcome = relay.run(permit, asked, limits, record).await;
    record.end = outcome;
    if outcome != Reason::ViaUpstream {
        return Ok(false);
    }
    if up.connection.is_reusable() {
        *kept = Some(up);
    }
    Ok(true)
}

struct Relay<'a> {
    client: &'a Client,
    down: &'a mut Http1<Transport>,
    up: &'a mut Http1<Transport>,
    method: Method,
    version: Version,
    answered: bool,
}

impl Relay<'_> {
    async fn run(mut self, mut permit: Permit, asked: &Asked, limits: EgressLimits, record: &mut Record) -> Reason {
        let mut watchdog = Watchdog::default();
        let until = after(Instant::now(), limits.duration_ms);
        let start = (self.down.bytes_received(), self.down.bytes_sent());
        let mut moved = (0, 0);
        let mut activity = Instant::now();
        let client = self.client;
        let end = poll_fn(|task| {
            if let Err(reason) = permit.renew(client, asked, true) {
                return Poll::Ready(reason);
            }
            let step = self.step(task);
            let now = (self.down.bytes_received() - start.0, self.down.bytes_sent() - start.1);
            if now != moved {
                moved = now;
                activity = Instant::now();
                record.moved(moved.0, moved.1);
            }
            if let Poll::Ready(reason) = step {
                return Poll::Ready(reason);
            }
            if limits.bytes > 0 && record.bytes() >= limits.bytes {
                return Poll::Ready(Reason::EgressLimit);
            }
            let idle = after(activity, client.limits.stream_idle_timeout_ms);
            watchdog.poll_expired(task, earliest(earliest(idle, client.leave_by()), until)).map(|()| {
                let over = until.is_some_and(|until| until <= Instant::now());
                if over { Reason::EgressLimit } else { Reason::StreamIdleTimeout }
            })
        })
        .await;
        if !self.answered && end == Reason::UpstreamReset {
            self.bad_gateway().await;
        }
        end
    }

    /// Moves what can be moved. Ready when the answer is with the client, or something broke.
    fn step(&mut self, task: &mut Context<'_>) -> Poll<Reason> {
        if let Poll::Ready(Err(reason)) = self.request_content(task) {
            return Poll::Ready(reason);
        }
        // What cannot be sent any more is told by the answer, or by its absence.
        let _ = self.up.poll_flush(task);
        let answer = self.answer(task);
        match (answer, self.down.poll_flush(task)) {
            (_, Poll::Ready(Err(_))) => Poll::Ready(Reason::DownstreamDisconnected),
            (Poll::Ready(Err(reason)), _) => Poll::Ready(reason),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Reason::ViaUpstream),
            (Poll::Ready(Ok(())), Poll::Pending) | (Poll::Pending, _) => {
                if self.down.recv_done() && self.down.poll_closed(task).is_ready() && !self.down.send_done() {
                    return Poll::Ready(Reason::DownstreamDisconnected);
                }
                Poll::Pending
            }
        }
    }

    fn request_content(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        while !self.up.send_done() {
            match self.up.poll_send_ready(task) {
                Poll::Ready(Ok(())) => {}
                // The answer may have come before the end of the request.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
            match self.down.poll_recv(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.up.finish(),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Reason::DownstreamDisconnected)),
                Poll::Ready(Some(Ok(piece))) => {
                    if self.up.send(piece).is_err() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn answer(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        while !self.answered {
            let parsed = match self.up.poll_response(task, &self.method, &UPSTREAM_HEAD) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::UpstreamReset)),
                Poll::Ready(Ok(parsed)) => parsed,
            };
            if parsed.head.status == StatusCode::SWITCHING_PROTOCOLS {
                // Nobody asked for it.
                return Poll::Ready(Err(Reason::UpstreamReset));
            }
            if parsed.head.status.is_informational() {
                self.down.send_informational(&parsed.head);
                continue;
            }
            let options =
                ResponseOptions { method: &self.method, version: self.version, keep_alive: true, upgrade: None };
            if self.down.start_response(&parsed.head, BodyKind::from(parsed.framing), &options).is_err() {
                return Poll::Ready(Err(Reason::DownstreamDisconnected));
            }
            self.answered = true;
        }
        while !self.down.send_done() {
            match self.down.poll_send_ready(task) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::DownstreamDisconnected)),
                Poll::Pending => return Poll::Pending,
            }
            match self.up.poll_recv(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.down.finish(),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Reason::UpstreamReset)),
                Poll::Ready(Some(Ok(piece))) => {
                    if self.down.send(piece).is_err() {
                        return Poll::Ready(Err(Reason::DownstreamDisconnected));
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The destination closed without an answer.
    async fn bad_gateway(&mut self) {
        let head = sekisho_codec::ResponseHead { status: StatusCode::BAD_GATEWAY, headers: Default::default() };
        let body = Bytes::from(format!("{}: {}\n", Reason::UpstreamReset.code(), Reason::UpstreamReset.summary()));
        let options = ResponseOptions { method: &self.method, version: self.version, keep_alive: false, upgrade: None };
        if self.down.start_response(&head, BodyKind::Length(body.len() as u64), &options).is_ok()
            && self.down.send(Piece::Data(body)).is_ok()
        {
            self.down.finish();
            super::proxy::flush(self.client, self.down).await;
        }
    }
}
