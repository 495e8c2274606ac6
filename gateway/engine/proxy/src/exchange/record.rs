//! What is remembered of one exchange, and told at its end.
//!
//! Telling happens when the record is dropped: whatever ends an exchange, it is logged and counted
//! last, and exactly once.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderName, Method, StatusCode, Version};
use sekisho_codec::{Headers, RequestHead};
use sekisho_filter::edge::traceparent::TraceId;
use sekisho_router::{ListenerId, RouteId, SocketId};

use super::GRPC_STATUS;
use crate::access_log::Line;
use crate::connection::ConnectionContext;
use crate::reason::Reason;
use crate::statistics::{Protocol, Sample, SeriesKey};
use crate::worker::ActiveConfig;

/// What nginx made the usual status of a request whose client did not wait for the answer.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

pub struct Record {
    context: Rc<ConnectionContext>,
    config: Rc<ActiveConfig>,
    started: Instant,
    /// The exchange came to an end of its own: what the record says is the whole story.
    settled: bool,
    /// The socket in the configuration of this request, while it has one.
    pub socket: Option<SocketId>,
    method: Method,
    target: Bytes,
    authority: HeaderValue,
    version: Version,
    user_agent: Option<HeaderValue>,
    pub grpc: bool,
    /// Who sent the request, as far as hops are trusted.
    pub client: IpAddr,
    pub forwarded_for: Option<HeaderValue>,
    pub request_id: Option<HeaderValue>,
    pub trace_id: Option<TraceId>,
    pub listener: Option<ListenerId>,
    pub route: Option<RouteId>,
    pub backend: Option<u32>,
    pub upstream_host: Option<Rc<str>>,
    /// What went wrong with the backend, in words.
    pub upstream_failure: Option<Box<str>>,
    pub upstream_started: Option<Instant>,
    pub upstream_duration: Option<Duration>,
    pub status: u16,
    pub reason: Reason,
    pub grpc_status: Option<u16>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub retries: u32,
}

impl Record {
    pub fn begin(context: &Rc<ConnectionContext>, config: &Rc<ActiveConfig>, head: &RequestHead) -> Record {
        Record {
            context: context.clone(),
            config: config.clone(),
            started: Instant::now(),
            settled: false,
            socket: config.compiled.socket(context.socket.address),
            method: head.method.clone(),
            target: head.target.clone(),
            authority: head.authority.clone(),
            version: head.version,
            user_agent: head.headers.get(&USER_AGENT).cloned(),
            grpc: super::is_grpc(&head.headers),
            client: context.remote.ip(),
            forwarded_for: None,
            request_id: None,
            trace_id: None,
            listener: None,
            route: None,
            backend: None,
            upstream_host: None,
            upstream_failure: None,
            upstream_started: None,
            upstream_duration: None,
            status: 0,
            reason: Reason::DownstreamDisconnected,
            grpc_status: None,
            bytes_received: 0,
            bytes_sent: 0,
            retries: 0,
        }
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    /// Takes the forwarding header as it is sent upstream.
    pub fn note_forwarded_for(&mut self, headers: &Headers) {
        self.forwarded_for = headers.get(&X_FORWARDED_FOR).cloned();
    }

    pub fn answered(&mut self, status: StatusCode, reason: Reason) {
        self.status = status.as_u16();
        self.reason = reason;
    }

    /// From here on dropping the record is no accident.
    pub fn settle(&mut self) {
        self.settled = true;
    }

    /// The connection ended under the exchange, because its client left or its time to leave was over.
    fn cut_off(&mut self) {
        let overstayed = self.context.leave_by().is_some_and(|leave| leave <= Instant::now());
        self.reason = if overstayed { Reason::RequestTimeout } else { Reason::DownstreamDisconnected };
        if self.status == 0 {
            self.status = CLIENT_CLOSED_REQUEST;
        }
    }

    /// Reads `grpc-status` from trailers, or from a head that ends the stream.
    pub fn note_grpc_status(&mut self, headers: &Headers) {
        if let Some(value) = headers.get(&GRPC_STATUS) {
            self.grpc_status = value.to_str().ok().and_then(|text| text.parse().ok());
        }
    }

    fn sample(&self, duration: Duration) -> Sample {
        let socket = self.socket.map_or(0, |id| id.0 as usize);
        Sample {
            key: SeriesKey {
                gateway: self.config.gateway(socket),
                status: self.status,
                reason: self.reason,
                protocol: if self.grpc { Protocol::Grpc } else { Protocol::Http },
                grpc_status: self.grpc_status,
                tls: self.context.tls,
            },
            duration,
            request_bytes: self.bytes_received,
            response_bytes: self.bytes_sent,
        }
    }

    /// The peer, or the client behind trusted hops, whose port nobody knows.
    fn remote(&self) -> Cow<'_, str> {
        if self.client == self.context.remote.ip() {
            Cow::Borrowed(&self.context.remote_text)
        } else {
            Cow::Owned(SocketAddr::new(self.client, 0).to_string())
        }
    }

    fn log(&self, duration: Duration) {
        let router = &self.config.compiled.router;
        let listener = self.listener.map(|id| router.listener(id));
        let route = self.route.map(|id| router.route(id));
        let backend = self.backend.and_then(|index| self.config.backends.get(index as usize));
        let line = Line {
            ended: SystemTime::now(),
            duration,
            method: &self.method,
            path: &self.target,
            version: self.version,
            authority: self.authority.as_bytes(),
            status: self.status,
            reason: self.reason,
            grpc_status: self.grpc_status,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            upstream_duration: self.upstream_duration,
            retries: self.retries,
            user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
            forwarded_for: self.forwarded_for.as_ref().map(HeaderValue::as_bytes),
            request_id: self.request_id.as_ref().map_or(b"", |id| id.as_bytes()),
            trace_id: self.trace_id.as_ref().map_or("", TraceId::as_str),
            remote: &self.remote(),
            local: &self.context.local_text,
            server_name: self.context.sni.as_deref(),
            gateway: listener.map_or("", |listener| &listener.gateway),
            listener: listener.map_or("", |listener| &listener.key),
            route: route.map_or("", |route| &route.key),
            rule_name: route.map_or("", |route| &route.name),
            backend: backend.map_or("", |backend| backend.spec().key()),
            upstream_host: self.upstream_host.as_deref().unwrap_or(""),
            upstream_failure: self.upstream_failure.as_deref().unwrap_or(""),
        };
        self.context.worker.write_log(|out| line.write(out));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.settled {
            self.cut_off();
        }
        let duration = self.started.elapsed();
        let slot = self.config.slot(self.backend);
        self.context.worker.statistics.borrow_mut().record(slot, self.sample(duration));
        if self.context.access_log && self.context.worker.log.enabled() {
            self.log(duration);
        }
    }
}
