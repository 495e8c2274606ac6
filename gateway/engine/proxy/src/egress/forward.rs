//! A request in the clear and its answer. Each is decided by itself, also on a connection that carried others before.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderValue, PROXY_AUTHORIZATION, UPGRADE};
use http::{Method, StatusCode, Version};
use sekisho_codec::{Headers, Piece, RequestHead};
use sekisho_stream::{BodyKind, Downstream, Http1, ResponseOptions};
use sekisho_tls::Transport;

use super::client::Client;
use super::open::{self, Asked, Permit, Refused, Shown};
use super::pool::{Pool, Upstream};
use super::record::Record;
use super::tunnel::Through;
use crate::exchange::UPSTREAM_HEAD;
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// The one protocol that requests may switch to: it has no requests of its own, that nobody would decide about.
const WEBSOCKET: &[u8] = b"websocket";

/// Informational answers to one request. A client that reads nothing would have them all kept.
const MAX_INTERIM: u32 = 64;

/// A request as it came.
pub struct Incoming {
    pub head: RequestHead,
    pub content: BodyKind,
    /// What it asks to switch to.
    pub upgrade: Option<HeaderValue>,
}

/// What became of an exchange.
pub enum Ended {
    /// Answered, and the client may go on.
    Whole,
    /// And with it a connection of HTTP/1.
    Broken,
    /// The destination took the switch, and the client knows.
    Switched(Box<Switched>),
}

/// A connection that carries another protocol from here on, by the permit of the request that asked for it.
pub struct Switched {
    permit: Permit,
    up: (Transport, BytesMut),
    until: Option<Instant>,
    moved: (u64, u64),
}

impl Switched {
    pub fn through(self, asked: Asked, record: Record) -> Through {
        let Switched { permit, up, until, moved } = self;
        Through { asked, permit, up, record, until, before: moved }
    }
}

/// Decides about one request, sends it and answers with what comes back.
pub async fn exchange(
    client: &Client,
    down: &mut Downstream<Transport>,
    Incoming { mut head, content, upgrade }: Incoming,
    asked: &Asked,
    pool: &Pool,
    record: &mut Record,
) -> Result<Ended, Refused> {
    head.headers.remove(&PROXY_AUTHORIZATION);
    head.headers.remove(&UPGRADE);
    let upgrade = upgrade.filter(|protocol| protocol.as_bytes().eq_ignore_ascii_case(WEBSOCKET));
    let may_be_repeated = head.method.is_idempotent() && content.is_empty() && upgrade.is_none();
    let mut kept = pool.take(asked);
    loop {
        let was_kept = kept.is_some();
        let (mut permit, mut up) = reach(client, asked, kept.take(), record).await?;
        record.allowed();
        let limits = permit.grant.rule.as_ref().map(|rule| *rule.limits()).unwrap_or_default();
        let until = after(Instant::now(), limits.duration_ms);
        let state = State {
            asks: upgrade.is_some(),
            interim: 0,
            answered: false,
            switched: false,
            moved: (size(&head.headers) + head.target.len() as u64, 0),
            most: if limits.bytes > 0 { limits.bytes } else { u64::MAX },
        };
        let (method, version) = (head.method.clone(), head.version);
        let begun = up.connection.start_request(&head, content, upgrade.as_ref()).is_ok();
        let mut relay = Relay { client, down, up: &mut up.connection, method, version, state };
        record.end = if begun { relay.run(&mut permit, asked, until, record).await } else { Reason::UpstreamReset };
        if record.end == Reason::UpstreamReset && !relay.state.answered {
            // It may have been closed as the request was on its way (RFC 9110, 9.2.2).
            if was_kept && may_be_repeated && relay.state.interim == 0 {
                continue;
            }
            relay.bad_gateway().await;
        }
        let State { switched, moved, .. } = relay.state;
        if record.end != Reason::ViaUpstream {
            return Ok(Ended::Broken);
        }
        if switched {
            let up = up.connection.into_parts();
            return Ok(Ended::Switched(Box::new(Switched { permit, up, until, moved })));
        }
        if up.connection.is_reusable() {
            pool.keep(up);
        }
        return Ok(Ended::Whole);
    }
}

/// A connection to the destination: the one that was kept, if it may still be used, or a new one.
async fn reach(
    client: &Client,
    asked: &Asked,
    kept: Option<Upstream>,
    record: &mut Record,
) -> Result<(Permit, Upstream), Refused> {
    if let Some(kept) = kept {
        let (permit, _) = open::permit(client, asked, Some(kept.address), record).await?;
        record.dialled = Some(SocketAddr::new(kept.address, asked.port));
        return Ok((permit, kept));
    }
    let (permit, stream) = open::open(client, asked, record).await?;
    let connection = Http1::new(Transport::Tcp(stream));
    let up = Upstream { host: asked.host.clone(), port: asked.port, address: permit.address, connection };
    Ok((permit, up))
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
    state: State,
}

/// How far an exchange has come.
struct State {
    /// To switch protocols.
    asks: bool,
    interim: u32,
    answered: bool,
    switched: bool,
    /// Bytes of heads and content, from the client and to it.
    moved: (u64, u64),
    /// Most of these: once they are reached, no piece is taken.
    most: u64,
}

impl State {
    fn is_spent(&self) -> bool {
        self.moved.0 + self.moved.1 >= self.most
    }
}

impl Relay<'_> {
    /// `until`: when it must be over.
    async fn run(&mut self, permit: &mut Permit, asked: &Asked, until: Option<Instant>, record: &mut Record) -> Reason {
        let mut watchdog = Watchdog::default();
        let mut moved = (0, 0);
        let mut activity = Instant::now();
        let client = self.client;
        poll_fn(|task| {
            if let Err(reason) = permit.renew(client, asked, Shown::Destination) {
                return Poll::Ready(reason);
            }
            let step = self.step(task);
            if self.state.moved != moved {
                moved = self.state.moved;
                activity = Instant::now();
                record.moved(moved.0, moved.1);
            }
            if let Poll::Ready(reason) = step {
                return Poll::Ready(reason);
            }
            if self.state.is_spent() {
                return Poll::Ready(Reason::EgressLimit);
            }
            let idle = after(activity, client.limits.stream_idle_timeout_ms);
            watchdog.poll_expired(task, earliest(earliest(idle, client.leave_by()), until)).map(|()| {
                let over = until.is_some_and(|until| until <= Instant::now());
                if over { Reason::EgressLimit } else { Reason::StreamIdleTimeout }
            })
        })
        .await
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
            if self.state.is_spent() {
                return Poll::Pending;
            }
            match self.down.poll_recv(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.up.finish(),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Reason::DownstreamDisconnected)),
                Poll::Ready(Some(Ok(piece))) => {
                    self.state.moved.0 += piece_size(&piece);
                    if self.up.send(piece).is_err() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn answer(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        while !self.state.answered {
            let parsed = match self.up.poll_response(task, &self.method, &UPSTREAM_HEAD) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::UpstreamReset)),
                Poll::Ready(Ok(parsed)) => parsed,
            };
            self.state.switched = parsed.head.status == StatusCode::SWITCHING_PROTOCOLS;
            if self.state.switched && !self.state.asks {
                // Nobody asked for it.
                return Poll::Ready(Err(Reason::UpstreamReset));
            }
            if parsed.head.status.is_informational() && !self.state.switched {
                self.state.interim += 1;
                if self.state.interim > MAX_INTERIM {
                    return Poll::Ready(Err(Reason::UpstreamReset));
                }
                self.state.moved.1 += size(&parsed.head.headers);
                self.down.send_informational(&parsed.head);
                continue;
            }
            let (method, version, upgrade) = (&self.method, self.version, parsed.upgrade.as_ref());
            let options = ResponseOptions { method, version, keep_alive: true, upgrade };
            if self.down.start_response(&parsed.head, BodyKind::from(parsed.framing), &options).is_err() {
                return Poll::Ready(Err(Reason::DownstreamDisconnected));
            }
            self.state.answered = true;
            self.state.moved.1 += size(&parsed.head.headers);
        }
        while !self.down.send_done() {
            match self.down.poll_send_ready(task) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::DownstreamDisconnected)),
                Poll::Pending => return Poll::Pending,
            }
            if self.state.is_spent() {
                return Poll::Pending;
            }
            match self.up.poll_recv(task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.down.finish(),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Reason::UpstreamReset)),
                Poll::Ready(Some(Ok(piece))) => {
                    self.state.moved.1 += piece_size(&piece);
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
