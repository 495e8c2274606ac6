//! One request and its response, in the order things happen.
//!
//! [`decide`] says what is to be done (pure), [`attempt`] sends it to a backend and waits for the
//! head of an answer, [`retry`] says whether to try again (pure), [`relay`] passes the answer on while
//! [`pump`] moves the content, and [`record`] is told last.

mod ask;
mod attempt;
pub mod decide;
pub mod filters;
mod mirror;
mod open;
mod outside;
mod policies;
mod pump;
mod record;
mod relay;
mod reply;
mod respond;
mod retry;

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, EXPECT, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use sekisho_codec::http1::HeadLimits;
use sekisho_codec::{Headers, RequestHead, Scheme};
use sekisho_stream::{BodyKind, Downstream, Http1, ResponseOptions};
use sekisho_tls::Transport;
use sekisho_upstream::{Backend, LeaseGuard};

use crate::active_config::ActiveConfig;
use crate::connection::ConnectionContext;
use crate::egress::Leave;
use crate::layer4;
use crate::reason::Reason;
use crate::watchdog::{Activity, Watchdog, after, earliest};
use attempt::{Attempts, Outcome};
use decide::{Forward, Stop};
use mirror::MirrorFeed;
pub use mirror::MirrorLoad;
use pump::Upload;
pub use record::Record;
pub use reply::Reply;

pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Bounds of a backend's response head: backends are trusted more than clients, not without limit.
pub const UPSTREAM_HEAD: HeadLimits = HeadLimits { max_bytes: 256 * 1024, max_headers: 400 };

/// A request as a connection hands it over.
pub struct Incoming {
    pub head: RequestHead,
    pub body: BodyKind,
    /// `Upgrade`, where the client asked for one.
    pub upgrade: Option<HeaderValue>,
    /// The client waits for leave to send its content (HTTP/1).
    pub expect_continue: bool,
    /// The client will send another request on this connection (HTTP/1).
    pub keep_alive: bool,
}

/// How an exchange left its connection.
pub enum Served {
    /// Complete in both directions, at this moment.
    Complete(Instant),
    /// Answered, but the connection (or stream) carries nothing more.
    Close,
    /// Broken off: the client must be able to tell that the answer is not whole.
    Abort,
    /// The connection now belongs to the upgraded protocol.
    Upgraded(Box<Upgraded>),
}

/// What an upgrade leaves to its tunnel. The record is told when the tunnel ends.
pub struct Upgraded {
    pub up: Box<Http1<Transport>>,
    pub record: Record,
    pub leave: Option<Box<Leave>>,
    pub _in_flight: LeaseGuard,
}

/// `application/grpc` and its variants; `application/grpc-web` is another protocol.
pub fn is_grpc(headers: &Headers) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    let Some(value) = headers.value(&CONTENT_TYPE) else { return false };
    let Some((kind, rest)) = value.split_at_checked(TYPE.len()) else { return false };
    kind.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// Stands in the record for a head that could not be read.
pub fn unreadable(version: Version) -> RequestHead {
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: HeaderValue::from_static(""),
        target: Bytes::new(),
        version,
        headers: Headers::default(),
    }
}

/// Serves one request.
pub async fn serve(
    context: &Rc<ConnectionContext>,
    down: &mut Downstream<Transport>,
    watchdog: &mut Watchdog,
    incoming: Incoming,
) -> Served {
    let config = context.worker.config();
    let mut exchange = Exchange::begin(context, &config, down, watchdog, incoming);
    let mut decision = decide::decide(&config, context, &mut exchange.record);
    let step = loop {
        match decision {
            Ok(forward) => break exchange.forward(&config, &forward).await,
            Err(Stop::Reply(reply)) => break exchange.reply(reply).await.into(),
            // Boxed: who asks nobody does not carry it.
            Err(Stop::Ask(question)) => match Box::pin(exchange.ask(&config, &question)).await {
                Ok(()) => decision = decide::resume(&config, context, &mut exchange.record, &question),
                Err(served) => break served.into(),
            },
        }
    };
    match step {
        Step::Served(served) => served,
        Step::Upgrade(up, in_flight) => {
            let Exchange { record, leave, .. } = exchange;
            Served::Upgraded(Box::new(Upgraded { up, record, leave, _in_flight: in_flight }))
        }
    }
}

/// How far an exchange has come. It is passed on by reference until then: its state is large.
enum Step {
    Served(Served),
    Upgrade(Box<Http1<Transport>>, LeaseGuard),
}

impl From<Served> for Step {
    fn from(served: Served) -> Self {
        Self::Served(served)
    }
}

/// Answers a message that is not a request, or not one to be served.
pub async fn refuse(
    context: &Rc<ConnectionContext>,
    down: &mut Downstream<Transport>,
    watchdog: &mut Watchdog,
    head: RequestHead,
    reply: Reply,
) {
    let incoming = Incoming { head, body: BodyKind::Empty, upgrade: None, expect_continue: false, keep_alive: false };
    let mut exchange = Exchange::begin(context, &context.worker.config(), down, watchdog, incoming);
    exchange.reply_unread(reply, true).await;
}

pub(crate) struct Exchange<'a> {
    context: &'a Rc<ConnectionContext>,
    down: &'a mut Downstream<Transport>,
    watchdog: &'a mut Watchdog,
    body: BodyKind,
    upgrade: Option<HeaderValue>,
    expect_continue: bool,
    keep_alive: bool,
    record: Record,
    feeds: Vec<MirrorFeed>,
    activity: Activity,
    request_deadline: Option<Instant>,
    /// What those who were asked have for the client.
    granted: Option<Box<Headers>>,
    /// What lets the request out, where its route leads outside.
    leave: Option<Box<Leave>>,
}

impl<'a> Exchange<'a> {
    fn begin(
        context: &'a Rc<ConnectionContext>,
        config: &Rc<ActiveConfig>,
        down: &'a mut Downstream<Transport>,
        watchdog: &'a mut Watchdog,
        incoming: Incoming,
    ) -> Self {
        let started = Instant::now();
        Self {
            context,
            down,
            watchdog,
            body: incoming.body,
            upgrade: incoming.upgrade,
            expect_continue: incoming.expect_continue,
            keep_alive: incoming.keep_alive,
            record: Record::begin(context, config, incoming.head, started),
            feeds: Vec::new(),
            activity: Activity::new(started),
            request_deadline: None,
            granted: None,
            leave: None,
        }
    }
}

impl Exchange<'_> {
    fn keeps_alive(&self) -> bool {
        self.keep_alive && !self.context.leaving()
    }

    async fn forward(&mut self, config: &ActiveConfig, forward: &Forward<'_>) -> Step {
        let backend = &config.backends[forward.backend as usize];
        if backend.spec().backend.original_destination {
            return match layer4::going_on(backend.clone(), self.context.original_destination()) {
                Ok(backend) => Box::pin(self.forward_to(&backend, config, forward)).await,
                Err(reason) => self.reply(Reply::new(StatusCode::SERVICE_UNAVAILABLE, reason)).await.into(),
            };
        }
        if let Some((host, port)) = backend.spec().outside()
            && let Some(listener) = self.guarded(config)
        {
            return Box::pin(self.forward_outside(backend, config, forward, (host, port, listener))).await;
        }
        self.forward_to(backend, config, forward).await
    }

    async fn forward_to(&mut self, backend: &Rc<Backend>, config: &ActiveConfig, forward: &Forward<'_>) -> Step {
        self.request_deadline = after(self.record.started(), forward.plan.request_timeout_ms);
        self.start_mirrors(config, forward);
        forward.inject(&mut self.record.head.headers);
        if self.expect_continue {
            self.record.head.headers.set(EXPECT, HeaderValue::from_static("100-continue"));
        }
        let mut upload = Upload::new(self.body, self.context.limits.replay_buffer_bytes as usize, self.expect_continue);
        let mut attempts = Attempts::new(forward, backend);
        let outcome = attempts.run(self, &mut upload).await;
        match outcome {
            Outcome::Answered(StatusCode::SWITCHING_PROTOCOLS) => {
                self.switch_protocols(&mut attempts, upload.is_done(), forward).await
            }
            Outcome::Answered(_) => {
                upload.forget();
                self.relay(&mut attempts, &mut upload, forward).await.into()
            }
            Outcome::Failed(reply) => {
                let whole = upload.received_all();
                self.reply_unread(reply, !whole).await.into()
            }
            Outcome::ClientGone => {
                self.record.status = record::CLIENT_CLOSED_REQUEST;
                self.broken(Reason::DownstreamDisconnected).into()
            }
        }
    }

    fn start_mirrors(&mut self, config: &ActiveConfig, forward: &Forward<'_>) {
        if forward.plan.mirrors.is_empty() && forward.share.mirrors.is_empty() {
            return;
        }
        let copy = mirror::Copy {
            head: &self.record.head,
            body: self.body,
            buffer_bytes: self.context.limits.mirror_buffer_bytes as usize,
            connect_timeout: Duration::from_millis(self.context.limits.connect_timeout_ms),
            load: &self.context.worker.mirrors,
        };
        // A copy of a request has nobody's leave to go outside.
        let stays_inside = self.guarded(config).is_some();
        for mirrors in [&forward.plan.mirrors, &forward.share.mirrors] {
            mirror::start(mirrors, config, &copy, stays_inside, &mut self.feeds);
        }
    }

    fn end(&mut self, keep_alive: bool, request_read: bool, now: Instant) -> Served {
        // With the rest of a request unread, an HTTP/1 connection is closed by its owner. An HTTP/2 stream that is
        // dropped tells the client NO_ERROR once the answer is out (RFC 9113, 8.1); a reset here would overtake it.
        self.record.settle(now);
        if keep_alive && request_read { Served::Complete(now) } else { Served::Close }
    }

    /// The backend's answer ends before its end: the client gets what there is of it, and sees that it is not whole.
    async fn cut_short(&mut self, reason: Reason) -> Served {
        let deadline = self.deadline(None);
        respond::flush(self.down, self.watchdog, deadline).await.ok();
        self.broken(reason)
    }

    fn broken(&mut self, reason: Reason) -> Served {
        self.record.reason = reason;
        self.record.settle(Instant::now());
        respond::abort(self.down);
        Served::Abort
    }

    async fn reply(&mut self, reply: Reply) -> Served {
        let unread = !self.body.is_empty();
        self.reply_unread(reply, unread).await
    }

    /// Sends an answer of the gateway's own. `unread`: some of the request is still on its way.
    async fn reply_unread(&mut self, reply: Reply, unread: bool) -> Served {
        // What ran out before does not shorten the time to say so.
        self.request_deadline = None;
        self.activity = Activity::new(Instant::now());
        self.record.answered(reply.status, reply.reason);
        let message = reply.message(&self.record.head.method, self.record.grpc, SystemTime::now());
        self.record.grpc_status = message.grpc_status;
        if message.grpc_status.is_some() {
            self.record.status = message.head.status.as_u16();
        }
        self.record.bytes_sent = message.body.len() as u64;
        let keep_alive = self.keeps_alive() && !unread;
        let options = response_options(&self.record.head, keep_alive, None);
        if respond::whole(self.down, message, &options).is_err() {
            return self.broken(Reason::DownstreamDisconnected);
        }
        let deadline = self.deadline(None);
        if respond::flush(self.down, self.watchdog, deadline).await.is_err() {
            return self.broken(Reason::DownstreamDisconnected);
        }
        self.end(keep_alive, !unread, Instant::now())
    }

    /// The next moment at which waiting ends, whatever the reason.
    fn deadline(&mut self, attempt: Option<Instant>) -> Option<Instant> {
        let idle = after(self.activity.last(), self.context.limits.stream_idle_timeout_ms);
        let let_out = self.leave.as_ref().and_then(|leave| leave.until);
        let asked_for = earliest(self.request_deadline, attempt);
        earliest(earliest(asked_for, let_out), earliest(idle, self.context.leave_by()))
    }

    /// Which of the deadlines it was.
    fn expired(&self, now: Instant, attempt: Option<Instant>) -> Reason {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if passed(self.request_deadline) {
            Reason::RequestTimeout
        } else if passed(attempt) {
            Reason::UpstreamRequestTimeout
        } else if passed(self.leave.as_ref().and_then(|leave| leave.until)) {
            Reason::EgressLimit
        } else if passed(self.context.leave_by()) {
            Reason::RequestTimeout
        } else {
            Reason::StreamIdleTimeout
        }
    }

    /// Ready when the client gave the exchange up. `request_read`: nothing of the request is left to be read.
    fn poll_client_gone(&mut self, task: &mut Context<'_>, request_read: bool) -> Poll<()> {
        // On HTTP/1 a look at the connection reads from it, which is the upload's to do while it lasts.
        if request_read || matches!(self.down, Downstream::Http2(_)) {
            return self.down.poll_closed(task);
        }
        Poll::Pending
    }
}

fn response_options<'h>(
    head: &'h RequestHead,
    keep_alive: bool,
    upgrade: Option<&'h HeaderValue>,
) -> ResponseOptions<'h> {
    ResponseOptions { method: &head.method, version: head.version, keep_alive, upgrade }
}
