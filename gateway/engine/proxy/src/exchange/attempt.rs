//! Attempts: from a decision to the head of an answer.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;
use sekisho_stream::{ReceivedResponse, StreamError, StreamErrorKind};
use sekisho_upstream::{Backend, EndpointHandle, Lease, OpenError, Want};

use super::decide::Forward;
use super::open::{OpenRequest, Opened};
use super::pump::{Fault, Sides, Upload};
use super::reply::Reply;
use super::retry::{self, Failed, Next, Tries};
use super::{Exchange, UPSTREAM_HEAD};
use crate::egress;
use crate::egress::Leave;
use crate::layer4;
use crate::reason::Reason;
use crate::watchdog::{Activity, after};

/// A backend that does not know 100-continue gets the content after this long.
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// Informational answers passed on for one request; a backend with more to say never comes to the point.
const MAX_INTERIM: u32 = 64;

/// What came of all attempts.
pub enum Outcome {
    /// The answer is to be taken from the attempts.
    Answered(StatusCode),
    Failed(Reply),
    ClientGone,
}

/// Why one attempt brought no answer.
enum Miss {
    Open(OpenError),
    /// `stale`: a connection that had served before was lost before the first byte of an answer.
    Stream {
        error: StreamError,
        stale: bool,
    },
    Expired(Reason),
    ClientGone,
}

impl Miss {
    fn in_words(&self) -> Option<Box<str>> {
        match self {
            Self::Open(error) => Some(error.message().into()),
            Self::Stream { error, .. } => Some(error.text().into()),
            Self::Expired(_) | Self::ClientGone => None,
        }
    }
}

/// The attempts of one exchange.
pub struct Attempts<'a> {
    forward: &'a Forward<'a>,
    pub backend: &'a Rc<Backend>,
    tries: Tries,
    avoid: Option<EndpointHandle>,
    fresh: bool,
    deadline: Option<Instant>,
    /// The connection of the present attempt and the answer it brought stay here: they are large to hand on.
    pub opened: Option<Opened>,
    pub answer: Option<ReceivedResponse>,
}

impl<'a> Attempts<'a> {
    pub fn new(forward: &'a Forward<'a>, backend: &'a Rc<Backend>) -> Self {
        Self {
            forward,
            backend,
            tries: Tries::default(),
            avoid: None,
            fresh: false,
            deadline: None,
            opened: None,
            answer: None,
        }
    }

    /// When the present attempt must be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Tries until there is an answer to relay, or no reason to try again.
    pub async fn run(&mut self, exchange: &mut Exchange<'_>, upload: &mut Upload) -> Outcome {
        loop {
            let timeout = self.forward.plan.backend_request_timeout_ms;
            self.deadline = if timeout > 0 { after(Instant::now(), timeout) } else { None };
            let (failed, outcome) = match self.once(exchange, upload).await {
                Ok(status) if self.forward.plan.retry.is_none() => return Outcome::Answered(status),
                Ok(status) => (Failed::Status(status.as_u16()), Outcome::Answered(status)),
                Err(Miss::ClientGone) => return Outcome::ClientGone,
                Err(miss) => {
                    exchange.record.upstream_failure = miss.in_words();
                    let reply = explain(&miss, upload.received_all());
                    match self.classify(miss) {
                        Some(failed) => (failed, Outcome::Failed(reply)),
                        None => return Outcome::Failed(reply),
                    }
                }
            };
            let Some(wait) = self.again(exchange, upload, failed) else {
                return outcome;
            };
            // An answer without content leaves its connection fit for another request.
            self.release();
            match pause(exchange, wait).await {
                Ok(()) => upload.restart(),
                Err(Miss::ClientGone) => return Outcome::ClientGone,
                Err(miss) => return Outcome::Failed(explain(&miss, true)),
            }
        }
    }

    /// Gives back the connection of the present attempt, or closes it where its answer has not ended.
    pub fn release(&mut self) {
        self.answer = None;
        if let Some(opened) = self.opened.take() {
            opened.release(self.backend);
        }
    }

    /// How long to wait for the next attempt; `None` when there is none.
    fn again(&mut self, exchange: &mut Exchange<'_>, upload: &Upload, failed: Failed) -> Option<Duration> {
        let policy = self.forward.plan.retry.as_deref();
        let replayable = upload.replayable();
        let untried = self.backend.endpoints().len() > 1 + self.tries.transparent as usize;
        let Next::Again { after, counted } =
            retry::decide(policy, failed, &exchange.record.head.method, replayable, self.tries)
        else {
            return None;
        };
        if failed == Failed::Connect && !counted && !untried {
            // Nobody asked to dial a dead endpoint twice.
            return None;
        }
        let now = Instant::now();
        if exchange.request_deadline.is_some_and(|deadline| deadline <= now + after) {
            return None;
        }
        if counted {
            self.tries.counted += 1;
        } else {
            self.tries.transparent += 1;
        }
        exchange.record.retries += 1;
        self.backend.count_retry();
        Some(after)
    }

    fn classify(&mut self, miss: Miss) -> Option<Failed> {
        match miss {
            Miss::Open(error) => {
                self.avoid = error.endpoint().cloned();
                error.endpoint().is_some().then_some(Failed::Connect)
            }
            Miss::Stream { error, stale } => {
                self.fresh |= stale;
                Some(match error.kind {
                    StreamErrorKind::Refused => Failed::Refused,
                    StreamErrorKind::Protocol(_) | StreamErrorKind::HeadTooLarge => Failed::Reset,
                    _ if stale => Failed::Stale,
                    _ => Failed::Reset,
                })
            }
            Miss::Expired(Reason::UpstreamRequestTimeout) => Some(Failed::Timeout),
            Miss::Expired(_) | Miss::ClientGone => None,
        }
    }

    async fn once(&mut self, exchange: &mut Exchange<'_>, upload: &mut Upload) -> Result<StatusCode, Miss> {
        let lease = self.lease(exchange).await?;
        let stale = lease.reused;
        let record = &mut exchange.record;
        record.upstream_host = Some(lease.endpoint.label().clone());
        if let Some(leave) = &mut exchange.leave {
            leave.connected(lease.endpoint.label());
        }
        if lease.endpoint.peer().is_some() && self.backend.spec().backend.tls.is_none() {
            record.upstream_party = exchange.context.worker.party_of(&lease.endpoint);
        }
        // A pooled connection was there at once.
        let started = if stale { record.started() } else { Instant::now() };
        record.upstream_started.get_or_insert(started);
        self.avoid = Some(lease.endpoint.handle().clone());
        let request =
            OpenRequest { head: &exchange.record.head, body: exchange.body, upgrade: exchange.upgrade.as_ref() };
        let opened = Opened::new(lease, &request).map_err(|error| Miss::Stream { error, stale })?;
        let opened = self.opened.insert(opened);
        let waiting = Waiting { deadline: self.deadline, answer: &mut self.answer };
        let outcome = waiting.run(exchange, opened, upload).await;
        if outcome.is_err() {
            self.opened = None;
        }
        outcome
    }

    async fn lease(&self, exchange: &mut Exchange<'_>) -> Result<Lease, Miss> {
        let want = if exchange.upgrade.is_some() {
            Want::Http1
        } else if self.forward.plan.grpc || exchange.record.grpc {
            Want::Http2
        } else {
            Want::Any
        };
        if !self.fresh
            && let Some(lease) = self.backend.reuse(want, self.avoid.as_ref())
        {
            return Ok(lease);
        }
        let connect_timeout = Duration::from_millis(exchange.context.limits.connect_timeout_ms);
        let mut open = pin!(self.backend.open(want, self.avoid.as_ref(), self.fresh, connect_timeout));
        poll_fn(|task| {
            if let Poll::Ready(result) = open.as_mut().poll(task) {
                return Poll::Ready(result.map_err(Miss::Open));
            }
            // What a look at the connection reads is there when the upload begins.
            exchange.poll_interrupted(task, self.deadline, true).map(Err)
        })
        .await
    }
}

/// What an attempt that has its connection waits for.
struct Waiting<'a> {
    deadline: Option<Instant>,
    answer: &'a mut Option<ReceivedResponse>,
}

impl Waiting<'_> {
    /// Sends the request and waits for a final head.
    async fn run(
        self,
        exchange: &mut Exchange<'_>,
        opened: &mut Opened,
        upload: &mut Upload,
    ) -> Result<StatusCode, Miss> {
        let mut interim = 0;
        let method = exchange.record.head.method.clone();
        let mut patience = upload.is_waiting().then(|| Box::pin(tokio::time::sleep(CONTINUE_PATIENCE)));
        poll_fn(|task| {
            if patience.as_mut().is_some_and(|patience| patience.as_mut().poll(task).is_ready()) {
                patience = None;
                upload.go_ahead();
            }
            // The head is still here: what is no longer allowed does not go out.
            if let Some(reason) = exchange.revoked() {
                return Poll::Ready(Err(Miss::Expired(reason)));
            }
            let mut sides = Sides {
                down: exchange.down,
                up: &mut opened.up,
                feeds: &mut exchange.feeds,
                record: &mut exchange.record,
                activity: &mut exchange.activity,
                most: exchange.leave.as_deref().map_or(u64::MAX, Leave::most),
            };
            match upload.poll(task, &mut sides) {
                // The answer may have been sent before the backend stopped reading.
                Poll::Ready(Err(Fault::Upstream(_))) => upload.stop(),
                Poll::Ready(Err(Fault::Downstream(error))) => return Poll::Ready(Err(client_fault(&error))),
                _ => {}
            }
            while let Poll::Ready(result) = opened.up.poll_response(task, &method, &UPSTREAM_HEAD) {
                interim += 1;
                match result {
                    Ok(answer) if is_interim(answer.head.status) && interim > MAX_INTERIM => {
                        let kind = StreamErrorKind::Protocol("the backend sends informational answers without end");
                        return Poll::Ready(Err(Miss::Stream { error: StreamError::new(kind), stale: false }));
                    }
                    Ok(answer) if answer.head.status == StatusCode::CONTINUE => {
                        // The client is told when its content is asked for, with the next turn of the upload.
                        upload.go_ahead();
                        task.waker().wake_by_ref();
                    }
                    Ok(answer) if is_interim(answer.head.status) => exchange.down.send_informational(&answer.head),
                    Ok(answer) => {
                        let status = answer.head.status;
                        *self.answer = Some(answer);
                        return Poll::Ready(Ok(status));
                    }
                    Err(error) => {
                        let stale = opened.is_stale(error);
                        return Poll::Ready(Err(Miss::Stream { error, stale }));
                    }
                }
            }
            if interim > 0 && matches!(exchange.down.poll_flush(task), Poll::Ready(Err(_))) {
                return Poll::Ready(Err(Miss::ClientGone));
            }
            exchange.poll_interrupted(task, self.deadline, upload.received_all()).map(Err)
        })
        .await
    }
}

impl Exchange<'_> {
    /// Ready when waiting for the backend has lost its point: the client left or time is up.
    fn poll_interrupted(
        &mut self,
        task: &mut Context<'_>,
        attempt_deadline: Option<Instant>,
        request_read: bool,
    ) -> Poll<Miss> {
        if self.poll_client_gone(task, request_read).is_ready() {
            return Poll::Ready(Miss::ClientGone);
        }
        if let Some(reason) = self.revoked() {
            return Poll::Ready(Miss::Expired(reason));
        }
        let deadline = self.deadline(attempt_deadline);
        self.watchdog
            .poll_expired(task, deadline)
            .map(|()| Miss::Expired(self.expired(Instant::now(), attempt_deadline)))
    }
}

/// Waits for the next attempt's turn, no shorter than the rule's back-off.
async fn pause(exchange: &mut Exchange<'_>, wait: Duration) -> Result<(), Miss> {
    if wait.is_zero() {
        return Ok(());
    }
    let mut turn = pin!(tokio::time::sleep(wait));
    // To wait for a turn is not to be idle.
    exchange.activity = Activity::new(Instant::now() + wait);
    let outcome = poll_fn(|task| {
        if turn.as_mut().poll(task).is_ready() {
            return Poll::Ready(Ok(()));
        }
        exchange.poll_interrupted(task, None, true).map(Err)
    })
    .await;
    exchange.activity = Activity::new(Instant::now());
    outcome
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// The request's content broke: a client that left, or one that sends what is not HTTP.
fn client_fault(error: &StreamError) -> Miss {
    match error.kind {
        StreamErrorKind::Protocol(_) => Miss::Expired(Reason::RequestMalformed),
        _ => Miss::ClientGone,
    }
}

/// The answer to the client when nothing more is tried. `request_read`: the client did its part.
fn explain(miss: &Miss, request_read: bool) -> Reply {
    let (status, reason) = match miss {
        Miss::Open(error) => (StatusCode::SERVICE_UNAVAILABLE, layer4::reason_of(error)),
        Miss::Stream { error, .. } => match error.kind {
            StreamErrorKind::Protocol(_) | StreamErrorKind::HeadTooLarge => {
                (StatusCode::BAD_GATEWAY, Reason::UpstreamProtocolError)
            }
            _ => (StatusCode::BAD_GATEWAY, Reason::UpstreamReset),
        },
        Miss::Expired(Reason::RequestMalformed) => (StatusCode::BAD_REQUEST, Reason::RequestMalformed),
        Miss::Expired(reason @ Reason::StreamIdleTimeout) if !request_read => (StatusCode::REQUEST_TIMEOUT, *reason),
        Miss::Expired(reason @ (Reason::EgressLimit | Reason::EgressRevoked)) => (egress::status(*reason), *reason),
        Miss::Expired(reason) => (StatusCode::GATEWAY_TIMEOUT, *reason),
        Miss::ClientGone => (StatusCode::BAD_REQUEST, Reason::DownstreamDisconnected),
    };
    Reply::new(status, reason)
}
