//! A request in the clear and its answer. Each is decided by itself, also on a connection that carried others before.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{PROXY_AUTHORIZATION, UPGRADE};
use http::{Method, StatusCode, Version};
use sekisho_codec::{Headers, Piece, RequestHead};
use sekisho_egress::Host;
use sekisho_stream::{BodyKind, Downstream, Http1, ResponseOptions};
use sekisho_table::EgressLimits;
use sekisho_tls::Transport;

use super::client::Client;
use super::open::{self, Asked, Permit, Refused};
use super::record::Record;
use crate::exchange::UPSTREAM_HEAD;
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// Connections that are kept for the next request to where one went before.
const MOST_KEPT: usize = 16;
/// Informational answers to one request. A client that reads nothing would have them all kept.
const MAX_INTERIM: u32 = 64;

/// Connections to destinations, of one client: what one was let out for is nobody else's.
#[derive(Default)]
pub struct Pool(RefCell<VecDeque<Upstream>>);

struct Upstream {
    host: Host,
    port: u16,
    address: IpAddr,
    connection: Http1<Transport>,
}

impl Pool {
    fn take(&self, asked: &Asked) -> Option<Upstream> {
        let mut kept = self.0.borrow_mut();
        kept.retain(|kept| kept.connection.is_reusable());
        let place = kept.iter().position(|kept| kept.host == asked.host && kept.port == asked.port)?;
        kept.remove(place)
    }

    fn keep(&self, upstream: Upstream) {
        let mut kept = self.0.borrow_mut();
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(upstream);
    }
}

/// `Ok(true)`: answered, and the client may go on. `Ok(false)`: the exchange broke, and with it a connection of HTTP/1.
pub async fn exchange(
    client: &Client,
    down: &mut Downstream<Transport>,
    (mut head, content): (RequestHead, BodyKind),
    asked: &Asked,
    pool: &Pool,
    record: &mut Record,
) -> Result<bool, Refused> {
    let (permit, mut up) = match pool.take(asked) {
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
    let (method, version) = (head.method.clone(), head.version);
    head.headers.remove(&PROXY_AUTHORIZATION);
    head.headers.remove(&UPGRADE);
    if up.connection.start_request(&head, content, None).is_err() {
        record.end = Reason::UpstreamReset;
        return Ok(false);
    }
    let limits = permit.grant.rule.as_ref().map(|rule| *rule.limits()).unwrap_or_default();
    let moved = (size(&head.headers) + head.target.len() as u64, 0);
    let most = if limits.bytes > 0 { limits.bytes } else { u64::MAX };
    let relay = Relay { client, down, up: &mut up.connection, method, version, interim: 0, answered: false, moved, most };
    let outcome = relay.run(permit, asked, limits, record).await;
    record.end = outcome;
    if outcome != Reason::ViaUpstream {
        return Ok(false);
    }
    if up.connection.is_reusable() {
        pool.keep(up);
    }
    Ok(true)
}

/// As HTTP/1 writes them.
pub fn size(headers: &Headers) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}

pub async fn flush(client: &Client, down: &mut Downstream<Transport>) -> Option<()> {
    let bound = Duration::from_millis(client.limits.stream_idle_timeout_ms.max(1));
    let flushed = poll_fn(|task| down.poll_flush(task));
    tokio::time::timeout(bound, flushed).await.ok()?.ok()
}

fn piece_size(piece: &Piece) -> u64 {
    match piece {
        Piece::Data(data) => data.len() as u64,
        Piece::Trailers(trailers) => size(trailers),
    }
}

struct Relay<'a> {
    client: &'a Client,
    down: &'a mut Downstream<Transport>,
    up: &'a mut Http1<Transport>,
    method: Method,
    version: Version,
    interim: u32,
    answered: bool,
    /// Bytes of heads and content, from the client and to it.
    moved: (u64, u64),
    /// Most of these: no piece is taken once they are reached.
    most: u64,
}

impl Relay<'_> {
    async fn run(mut self, mut permit: Permit, asked: &Asked, limits: EgressLimits, record: &mut Record) -> Reason {
        let mut watchdog = Watchdog::default();
        let until = after(Instant::now(), limits.duration_ms);
        let mut moved = (0, 0);
        let mut activity = Instant::now();
        let client = self.client;
        let end = poll_fn(|task| {
            if let Err(reason) = permit.renew(client, asked, true) {
                return Poll::Ready(reason);
            }
            let step = self.step(task);
            if self.moved != moved {
                moved = self.moved;
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
            if self.moved.0 + self.moved.1 >= self.most {
                return Poll::Pending;
            }
            match self.down.poll_recv(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.up.finish(),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Reason::DownstreamDisconnected)),
                Poll::Ready(Some(Ok(piece))) => {
                    self.moved.0 += piece_size(&piece);
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
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Poll::Ready(Err(Reason::UpstreamReset));
                }
                self.moved.1 += size(&parsed.head.headers);
                self.down.send_informational(&parsed.head);
                continue;
            }
            let options =
                ResponseOptions { method: &self.method, version: self.version, keep_alive: true, upgrade: None };
            if self.down.start_response(&parsed.head, BodyKind::from(parsed.framing), &options).is_err() {
                return Poll::Ready(Err(Reason::DownstreamDisconnected));
            }
            self.answered = true;
            self.moved.1 += size(&parsed.head.headers);
        }
        while !self.down.send_done() {
            match self.down.poll_send_ready(task) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::DownstreamDisconnected)),
                Poll::Pending => return Poll::Pending,
            }
            if self.moved.0 + self.moved.1 >= self.most {
                return Poll::Pending;
            }
            match self.up.poll_recv(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.down.finish(),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Reason::UpstreamReset)),
                Poll::Ready(Some(Ok(piece))) => {
                    self.moved.1 += piece_size(&piece);
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
            flush(self.client, self.down).await;
        }
    }
}
