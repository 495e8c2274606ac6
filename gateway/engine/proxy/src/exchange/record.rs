//! What is remembered of one exchange, and told at its end.
//!
//! Telling happens when the record is dropped: whatever ends an exchange, it is logged and counted
//! last, and exactly once.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, USER_AGENT};
use sekisho_codec::{Headers, RequestHead};
use sekisho_filter::edge::forwarded::X_FORWARDED_FOR;
use sekisho_filter::edge::request_id::X_REQUEST_ID;
use sekisho_filter::edge::traceparent::TraceId;
use sekisho_router::SocketId;

use super::GRPC_STATUS;
use crate::access_log::Line;
use crate::active_config::{ActiveConfig, Place};
use crate::authorization::Told;
use crate::connection::ConnectionContext;
use crate::parties::PartyId;
use crate::reason::Reason;
use crate::series::{Protocol, Sample, SeriesKey};

/// What nginx made the usual status of a request whose client did not wait for the answer.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

pub struct Record {
    context: Rc<ConnectionContext>,
    config: Rc<ActiveConfig>,
    started: Instant,
    /// When the exchange came to an end of its own: what the record says is the whole story.
    settled: Option<Instant>,
    /// The socket in the configuration of this request, while it has one.
    pub socket: Option<SocketId>,
    /// The request as it is sent on. The log tells how it came; see [`Received`].
    pub head: RequestHead,
    received: Option<Box<Received>>,
    /// The target as it came, without the tokens in it; `None` where there are none.
    pub concealed_target: Option<Box<str>>,
    pub grpc: bool,
    /// Who sent the request, as far as hops are trusted.
    pub client: IpAddr,
    pub trace_id: Option<TraceId>,
    pub place: Place,
    /// What policies had to say, where it is worth a word.
    pub authorization: Option<Box<Told>>,
    pub upstream_host: Option<Rc<str>>,
    /// The endpoint, where it is in the mesh.
    pub upstream_party: PartyId,
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

/// What the log tells of a head that is about to be changed. Most heads are not, and nothing is copied.
struct Received {
    target: Bytes,
    authority: HeaderValue,
    user_agent: Option<HeaderValue>,
    forwarded_for: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
}

impl Record {
    #[inline]
    pub fn begin(
        context: &Rc<ConnectionContext>,
        config: &Rc<ActiveConfig>,
        head: RequestHead,
        started: Instant,
    ) -> Record {
        Record {
            context: context.clone(),
            config: config.clone(),
            started,
            settled: None,
            socket: context.socket_id(config),
            grpc: super::is_grpc(&head.headers),
            head,
            received: None,
            concealed_target: None,
            client: context.remote.ip(),
            trace_id: None,
            place: Place::default(),
            authorization: None,
            upstream_host: None,
            upstream_party: PartyId::default(),
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

    /// To be called before filters see the head: the log has the client's request with what the edge added to it.
    pub fn keep_received(&mut self) {
        if self.received.is_some() {
            return;
        }
        let headers = &self.head.headers;
        self.received = Some(Box::new(Received {
            target: self.head.target.clone(),
            authority: self.head.authority.clone(),
            user_agent: headers.get(&USER_AGENT).cloned(),
            forwarded_for: headers.get(&X_FORWARDED_FOR).cloned(),
            request_id: headers.get(&X_REQUEST_ID).cloned(),
        }));
    }

    /// The authority as the client sent it.
    pub fn received_authority(&self) -> &HeaderValue {
        self.received.as_ref().map_or(&self.head.authority, |received| &received.authority)
    }

    pub fn answered(&mut self, status: StatusCode, reason: Reason) {
        self.status = status.as_u16();
        self.reason = reason;
    }

    /// From here on dropping the record is no accident.
    pub fn settle(&mut self, now: Instant) {
        self.settled = Some(now);
    }

    /// The connection ended under the exchange, because its client left or its time to leave was over.
    fn cut_off(&mut self) -> Instant {
        let now = Instant::now();
        let overstayed = self.context.leave_by().is_some_and(|leave| leave <= now);
        self.reason = if overstayed { Reason::RequestTimeout } else { Reason::DownstreamDisconnected };
        if self.status == 0 {
            self.status = CLIENT_CLOSED_REQUEST;
        }
        now
    }

    /// Reads `grpc-status` from trailers, or from a head that ends the stream.
    pub fn note_grpc_status(&mut self, headers: &Headers) {
        if let Some(value) = headers.value(&GRPC_STATUS) {
            self.grpc_status = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        }
    }

    fn sample(&self, duration: Duration) -> Sample {
        let socket = self.socket.map_or(0, |id| id.0 as usize);
        let (between, security) = self.context.standing.between(self.upstream_party);
        Sample {
            key: SeriesKey {
                gateway: self.config.gateway(socket),
                status: self.status,
                reason: self.reason,
                protocol: if self.grpc { Protocol::Grpc } else { Protocol::Http },
                grpc_status: self.grpc_status,
                security,
                between,
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
        let Record { head, received, .. } = self;
        let received = received.as_deref();
        let field = |kept: fn(&Received) -> &Option<HeaderValue>, name| match received {
            Some(received) => kept(received).as_ref().map(HeaderValue::as_bytes),
            None => head.headers.value(name),
        };
        // Before the edge has seen to them, they are the client's word.
        let edge_field = |kept, name| if self.trace_id.is_some() { field(kept, name) } else { None };
        let line = Line {
            started: self.started,
            duration,
            method: &head.method,
            path: match (&self.concealed_target, received) {
                (Some(target), _) => target.as_bytes(),
                (None, Some(received)) => &received.target,
                (None, None) => &head.target,
            },
            version: head.version,
            authority: received.map_or(&head.authority, |received| &received.authority).as_bytes(),
            status: self.status,
            reason: self.reason,
            authorization: self.authorization.as_deref(),
            grpc_status: self.grpc_status,
            bytes_received: self.bytes_received,
            bytes_sent: self.bytes_sent,
            upstream_duration: self.upstream_duration,
            retries: self.retries,
            user_agent: field(|received| &received.user_agent, &USER_AGENT),
            forwarded_for: edge_field(|received| &received.forwarded_for, &X_FORWARDED_FOR),
            request_id: edge_field(|received| &received.request_id, &X_REQUEST_ID).unwrap_or_default(),
            trusts_hops: self.context.trusted_hops > 0,
            trace_id: self.trace_id.as_ref().map_or("", TraceId::as_str),
            remote: &self.remote(),
            connection: &self.context.log_fields,
            place: self.config.log_fields(self.place),
            upstream_host: self.upstream_host.as_deref().unwrap_or(""),
            upstream_failure: self.upstream_failure.as_deref().unwrap_or(""),
        };
        self.context.worker.write_log(|text| line.write(text));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let ended = self.settled.unwrap_or_else(|| self.cut_off());
        let duration = ended.saturating_duration_since(self.started);
        let mut statistics = self.context.worker.statistics.borrow_mut();
        let slot = self.config.slot(self.place.backend, &mut statistics);
        statistics.record(slot, self.sample(duration));
        drop(statistics);
        if self.context.access_log && self.context.worker.log.enabled() {
            self.log(duration);
        }
    }
}
