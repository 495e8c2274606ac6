//! Passing a backend's answer on: its content, or the protocol it switches to.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use http::StatusCode;
use sekisho_stream::{ReceivedResponse, StreamError, StreamErrorKind};

use super::attempt::Attempts;
use super::decide::Forward;
use super::open::Opened;
use super::pump::{Download, Fault, Sides, Upload};
use super::reply::Reply;
use super::{Exchange, Served, Step, respond, response_options};
use crate::egress::Leave;
use crate::reason::Reason;

/// Why an answer did not come through whole.
enum Broken {
    Fault(Fault),
    Expired(Reason),
}

impl Exchange<'_> {
    /// Sends the backend's answer down, while the rest of the request may still go up.
    pub(super) async fn relay(
        &mut self,
        attempts: &mut Attempts<'_>,
        upload: &mut Upload,
        forward: &Forward<'_>,
    ) -> Served {
        let deadline = attempts.deadline();
        let (Some(opened), Some(answer)) = (&mut attempts.opened, &mut attempts.answer) else {
            return self.broken(Reason::UpstreamReset);
        };
        let ReceivedResponse { head, kind, .. } = answer;
        forward.filter_response(head);
        self.add_granted(head);
        self.record.answered(head.status, Reason::ViaUpstream);
        self.record.upstream_failure = None;
        if self.record.grpc {
            self.record.note_grpc_status(&head.headers);
        }
        let keep_alive = self.keeps_alive();
        let options = response_options(&self.record.head, keep_alive, None);
        if self.down.start_response(head, *kind, &options).is_err() {
            return self.broken(Reason::DownstreamDisconnected);
        }
        let mut download = Download::new(*kind);
        match self.pump(opened, upload, &mut download, deadline).await {
            Ok(()) => {}
            Err(Broken::Fault(Fault::Downstream(_))) => return self.broken(Reason::DownstreamDisconnected),
            Err(Broken::Fault(Fault::Upstream(error))) => {
                self.record.upstream_failure = Some(error.text().into());
                return self.cut_short(Reason::UpstreamReset).await;
            }
            Err(Broken::Expired(reason)) => return self.cut_short(reason).await,
        }
        let now = Instant::now();
        self.record.upstream_duration = self.record.upstream_started.map(|started| now.duration_since(started));
        let whole = upload.received_all();
        if upload.is_done() {
            attempts.release();
        }
        self.end(keep_alive, whole, now)
    }

    async fn pump(
        &mut self,
        opened: &mut Opened,
        upload: &mut Upload,
        download: &mut Download,
        attempt_deadline: Option<Instant>,
    ) -> Result<(), Broken> {
        poll_fn(|task| {
            if let Some(reason) = self.revoked() {
                return Poll::Ready(Err(Broken::Expired(reason)));
            }
            let mut sides = Sides {
                down: self.down,
                up: &mut opened.up,
                feeds: &mut self.feeds,
                record: &mut self.record,
                activity: &mut self.activity,
                most: self.leave.as_deref().map_or(u64::MAX, Leave::most),
            };
            match upload.poll(task, &mut sides) {
                Poll::Ready(Err(Fault::Upstream(_))) => upload.stop(),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(Broken::Fault(fault))),
                _ => {}
            }
            match download.poll(task, &mut sides) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(Broken::Fault(fault))),
                Poll::Pending => {}
            }
            // A backend may be silent for long, as in a watch: a client that left must not keep it.
            if self.poll_client_gone(task, upload.received_all()).is_ready() {
                let gone = StreamError::new(StreamErrorKind::Reset);
                return Poll::Ready(Err(Broken::Fault(Fault::Downstream(gone))));
            }
            if let Some(reason) = self.revoked() {
                return Poll::Ready(Err(Broken::Expired(reason)));
            }
            let deadline = self.deadline(attempt_deadline);
            if self.watchdog.poll_expired(task, deadline).is_ready() {
                return Poll::Ready(Err(Broken::Expired(self.expired(Instant::now(), attempt_deadline))));
            }
            Poll::Pending
        })
        .await
    }

    /// `request_sent`: the backend has the request whole, so what the client sends next is of the new protocol.
    pub(super) async fn switch_protocols(
        &mut self,
        attempts: &mut Attempts<'_>,
        request_sent: bool,
        forward: &Forward<'_>,
    ) -> Step {
        let (opened, answer) = (attempts.opened.take(), attempts.answer.take());
        let asked_for = self.upgrade.is_some() && request_sent;
        let (Some(opened), Some(answer), true) = (opened, answer, asked_for) else {
            // An answer 101 that nobody asked for, or that came too early.
            return self.reply(Reply::new(StatusCode::BAD_GATEWAY, Reason::UpstreamProtocolError)).await.into();
        };
        let ReceivedResponse { mut head, kind, upgrade } = answer;
        forward.filter_response(&mut head);
        self.add_granted(&mut head);
        self.record.answered(head.status, Reason::ViaUpstream);
        self.record.upstream_failure = None;
        let Some((up, in_flight)) = opened.into_http1() else {
            return self.reply(Reply::new(StatusCode::BAD_GATEWAY, Reason::UpstreamProtocolError)).await.into();
        };
        let options = response_options(&self.record.head, true, upgrade.as_ref());
        if self.down.start_response(&head, kind, &options).is_err() {
            return self.broken(Reason::DownstreamDisconnected).into();
        }
        let deadline = self.deadline(None);
        if respond::flush(self.down, self.watchdog, deadline).await.is_err() {
            return self.broken(Reason::DownstreamDisconnected).into();
        }
        Step::Upgrade(up, in_flight)
    }
}
