//! Asking services for authorization, before a request goes on.
//!
//! Owns sending the question through the pools of the service's backend, and what follows from the answer or its
//! absence; which headers go where is [`crate::external`]'s. No answer is a no, unless it is configured otherwise.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use sekisho_codec::{Piece, RequestHead, ResponseHead};
use sekisho_stream::BodyKind;
use sekisho_upstream::{Backend, Want};

use super::decide::{Asked, Question};
use super::open::{OpenRequest, Opened};
use super::reply::Reply;
use super::{Exchange, Served, UPSTREAM_HEAD};
use crate::active_config::ActiveConfig;
use crate::authorization::{ASKED, DENIED, FAILED_OPEN, NO_POLICY, Told};
use crate::external::{self, Provider};
use crate::reason::Reason;
use crate::watchdog::after;

/// Most of an answer's content that is passed on to a client; of a longer one, nothing is.
const MAX_CONTENT: usize = 64 * 1024;
/// Informational answers before the answer.
const MAX_INTERIM: u32 = 16;

struct Answer {
    head: ResponseHead,
    content: Bytes,
}

/// Why there is no answer.
enum Silence {
    Failed(Box<str>),
    /// The client did not wait, or the request has no time left.
    Over(Reason),
}

/// An attempt that failed. `stale`: on a connection that the service may have closed before.
struct Lost {
    text: Box<str>,
    stale: bool,
}

impl Exchange<'_> {
    /// Asks everybody in turn. An error is the end of the exchange: somebody said no.
    pub(super) async fn ask(&mut self, config: &ActiveConfig, question: &Question<'_>) -> Result<(), Served> {
        if let Some(route) = question.route() {
            let timeout = config.compiled.plan(route).request_timeout_ms;
            self.request_deadline = after(self.record.started(), timeout);
        }
        for asked in &question.asked {
            self.count(asked, ASKED);
            match self.answer(config, asked).await {
                Ok(None) => {}
                Ok(Some(reply)) => {
                    self.tell_denied(asked);
                    return Err(self.reply(reply).await);
                }
                Err(Reason::DownstreamDisconnected) => {
                    self.record.status = super::record::CLIENT_CLOSED_REQUEST;
                    return Err(self.broken(Reason::DownstreamDisconnected));
                }
                Err(reason) => return Err(self.reply(Reply::new(StatusCode::GATEWAY_TIMEOUT, reason)).await),
            }
        }
        Ok(())
    }

    /// What one service says: `None` lets the request go on, and changes it.
    async fn answer(&mut self, config: &ActiveConfig, asked: &Asked<'_>) -> Result<Option<Reply>, Reason> {
        let Some(provider) = asked.provider else {
            return Ok(Some(Reply::new(StatusCode::FORBIDDEN, Reason::ExternalAuthorizationFailed)));
        };
        match self.question(config, provider).await {
            Ok(answer) if answer.head.status.is_success() => {
                self.allow(provider, &answer);
                Ok(None)
            }
            Ok(answer) if answer.head.status.is_server_error() => {
                let text = format!("external authorization answered {}", answer.head.status.as_u16());
                Ok(self.failed(asked, provider, text.into()))
            }
            Ok(answer) => Ok(Some(Reply {
                headers: provider.denial(&answer.head.headers),
                content: Some(answer.content),
                ..Reply::new(denying(answer.head.status), Reason::ExternalAuthorizationDenied)
            })),
            Err(Silence::Failed(text)) => Ok(self.failed(asked, provider, text)),
            Err(Silence::Over(reason)) => Err(reason),
        }
    }

    fn allow(&mut self, provider: &Provider, answer: &Answer) {
        self.record.keep_received();
        provider.allow(&answer.head.headers, &mut self.record.head.headers);
        let kept = provider.for_response(&answer.head.headers);
        if !kept.is_empty() {
            external::add_to_response(self.granted.get_or_insert_default(), &kept);
        }
    }

    fn failed(&mut self, asked: &Asked<'_>, provider: &Provider, text: Box<str>) -> Option<Reply> {
        self.record.upstream_failure = Some(text);
        if provider.fail_open {
            self.count(asked, FAILED_OPEN);
            // What only the service may say, nobody said.
            self.record.keep_received();
            provider.allow(&Default::default(), &mut self.record.head.headers);
            return None;
        }
        Some(Reply::new(provider.status_on_error, Reason::ExternalAuthorizationFailed))
    }

    fn count(&self, asked: &Asked<'_>, effect: &'static str) {
        let policy = asked.policy.map_or(NO_POLICY, |(policy, _)| policy);
        self.context.worker.statistics.borrow_mut().authorized(policy, effect);
    }

    fn tell_denied(&mut self, asked: &Asked<'_>) {
        self.count(asked, DENIED);
        let place = asked.policy.map(|(policy, rule)| format!("{policy}/{rule}"));
        let told = Told { denied: Some(place.unwrap_or_else(|| "ExternalAuth".to_owned())), ..Told::default() };
        self.record.authorization = Some(Box::new(told));
    }

    async fn question(&mut self, config: &ActiveConfig, provider: &Provider) -> Result<Answer, Silence> {
        let started = Instant::now();
        // A question goes outside by nobody's leave.
        let stays_inside = self.guarded(config).is_some();
        let found = provider.backend.filter(|position| {
            let spec = config.compiled.specs.get(*position);
            let backend = &spec.backend;
            let outside = stays_inside && spec.outside().is_some();
            backend.failure.is_none() && !backend.original_destination && !outside
        });
        let backend = found.and_then(|position| config.backends.get(position as usize));
        let Some(backend) = backend else {
            let text = format!("external authorization: {} cannot be reached", provider.backend_key);
            return Err(Silence::Failed(text.into()));
        };
        let head = provider.question(&self.record.head);
        let connect_timeout = Duration::from_millis(self.context.limits.connect_timeout_ms);
        let mut asking = pin!(persistent(backend, &head, connect_timeout));
        let by = after(started, provider.timeout_ms);
        let unread = !self.body.is_empty();
        poll_fn(|task| {
            if let Poll::Ready(result) = asking.as_mut().poll(task) {
                return Poll::Ready(result.map_err(|lost| Silence::Failed(lost.text)));
            }
            if self.poll_client_gone(task, !unread).is_ready() {
                return Poll::Ready(Err(Silence::Over(Reason::DownstreamDisconnected)));
            }
            let deadline = self.deadline(by);
            self.watchdog.poll_expired(task, deadline).map(|()| {
                Err(match self.expired(Instant::now(), by) {
                    Reason::UpstreamRequestTimeout => {
                        Silence::Failed("external authorization did not answer in time".into())
                    }
                    reason => Silence::Over(reason),
                })
            })
        })
        .await
    }

    /// What those who were asked have for the client goes with the response.
    pub(super) fn add_granted(&self, head: &mut ResponseHead) {
        if let Some(kept) = &self.granted {
            external::add_to_response(&mut head.headers, kept);
        }
    }
}

/// A service that says no with a status that is none (a 1xx) is not followed in that.
fn denying(status: StatusCode) -> StatusCode {
    if status.is_informational() { StatusCode::FORBIDDEN } else { status }
}

/// Once more where a pooled connection turned out to be closed: to ask changes nothing.
async fn persistent(backend: &Rc<Backend>, head: &RequestHead, connect_timeout: Duration) -> Result<Answer, Lost> {
    match once(backend, head, connect_timeout, false).await {
        Err(Lost { stale: true, .. }) => once(backend, head, connect_timeout, true).await,
        outcome => outcome,
    }
}

async fn once(
    backend: &Rc<Backend>,
    head: &RequestHead,
    connect_timeout: Duration,
    fresh: bool,
) -> Result<Answer, Lost> {
    let lease = backend.open(Want::Any, None, fresh, connect_timeout).await;
    let lease = lease.map_err(|error| Lost { text: error.message().into(), stale: false })?;
    let reused = lease.reused;
    let request = OpenRequest { head, body: BodyKind::Length(0), upgrade: None };
    let mut opened = Opened::new(lease, &request).map_err(|error| Lost { text: error.text().into(), stale: reused })?;
    match received(&mut opened, head).await {
        Ok((answer, whole)) => {
            if whole {
                opened.release(backend);
            }
            Ok(answer)
        }
        Err(error) => Err(Lost { text: error.text().into(), stale: opened.is_stale(error) }),
    }
}

/// The answer, and whether it was read to its end.
async fn received(opened: &mut Opened, request: &RequestHead) -> Result<(Answer, bool), sekisho_stream::StreamError> {
    opened.up.finish();
    let mut interim = 0;
    let answer = loop {
        let answer = poll_fn(|task| {
            if let Poll::Ready(Err(error)) = opened.up.poll_flush(task) {
                return Poll::Ready(Err(error));
            }
            opened.up.poll_response(task, &request.method, &UPSTREAM_HEAD)
        })
        .await?;
        interim += 1;
        if !answer.head.status.is_informational() || interim > MAX_INTERIM {
            break answer;
        }
    };
    let mut content = BytesMut::new();
    let mut whole = true;
    while let Some(piece) = poll_fn(|task| opened.up.poll_recv(task)).await {
        let Piece::Data(data) = piece? else { continue };
        if content.len() + data.len() > MAX_CONTENT {
            whole = false;
            content.clear();
            break;
        }
        content.extend_from_slice(&data);
    }
    Ok((Answer { head: answer.head, content: content.freeze() }, whole))
}
