//! One client connection: TLS, the choice of protocol, and its life.

mod http1;
mod http2;
mod tunnel;

use std::cell::Cell;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::HeaderValue;
use sekisho_codec::Scheme;
use sekisho_filter::edge::forwarded::Forwarding;
use sekisho_policy::Peer;
use sekisho_stream::{Http1, Preface};
use sekisho_table::{ClientValidation, Limits, ListenerProtocol};
use sekisho_tls::{PeerIdentity, Transport};
use tokio::net::TcpStream;

use crate::access_log::connection_fields;
use crate::authorization::Caller;
use crate::egress;
use crate::layer4::{self, Arrived, Place};
use crate::watchdog::after;
use crate::worker::{ListeningSocket, Registration, Worker};

/// What every request of a connection shares.
pub struct ConnectionContext {
    pub worker: Rc<Worker>,
    pub socket: Rc<ListeningSocket>,
    pub remote: SocketAddr,
    /// What every access-log line of the connection says.
    pub remote_text: Box<str>,
    pub log_fields: Box<[u8]>,
    pub tls: bool,
    /// The name the client asked for in TLS, lower case.
    pub sni: Option<Rc<str>>,
    /// What its client certificate was held to.
    pub validation: Option<ClientValidation>,
    /// Who its client is, by a certificate that was verified.
    pub peer: Option<Box<Peer>>,
    pub local: IpAddr,
    /// As they were when the connection was accepted.
    pub limits: Limits,
    pub access_log: bool,
    pub trusted_hops: u32,
    pub forwarding: Forwarding,
    /// When the connection learnt that it should end.
    told_to_leave: Cell<Option<Instant>>,
}

impl ConnectionContext {
    /// Who calls, for policies.
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            peer: self.peer.as_deref(),
            source: self.remote.ip(),
            destination: self.local,
            server_name: self.sni.as_deref(),
        }
    }

    /// The connection should end after what it is doing: the process drains or its listener is gone.
    pub fn leaving(&self) -> bool {
        self.worker.draining() || self.socket.closed.get()
    }

    /// When what the connection is doing must have ended; `None` while it may stay.
    pub fn leave_by(&self) -> Option<Instant> {
        if !self.leaving() {
            return None;
        }
        let since = self.told_to_leave.get().unwrap_or_else(Instant::now);
        self.told_to_leave.set(Some(since));
        after(since, self.limits.drain_timeout_ms)
    }
}

/// Serves a connection to its end.
pub async fn serve(worker: Rc<Worker>, socket: Rc<ListeningSocket>, stream: TcpStream, remote: SocketAddr) {
    let _registration = register(&worker).await;
    let Some((context, connection, protocol)) = establish(worker, socket, stream, remote).await else {
        return;
    };
    let context = Rc::new(context);
    match protocol {
        Preface::Http1 => http1::serve(context, connection).await,
        // Boxed: most connections are HTTP/1, and idle ones should be small.
        Preface::Http2 => Box::pin(http2::serve(context, connection)).await,
    }
}

async fn register(worker: &Rc<Worker>) -> Registration {
    poll_fn(|task| Poll::Ready(worker.register(task.waker().clone()))).await
}

/// TLS where the socket asks for it, and the protocol; `None` when the client is not worth an answer.
async fn establish(
    worker: Rc<Worker>,
    socket: Rc<ListeningSocket>,
    stream: TcpStream,
    remote: SocketAddr,
) -> Option<(ConnectionContext, Http1<Transport>, Preface)> {
    let local = stream.local_addr().ok()?;
    let config = worker.config();
    let id = socket.id(&config)?;
    let plan = config.compiled.socket_plan(id);
    let limits = plan.limits().clone();
    let (access_log, trusted_hops) = (plan.gateway.access_log, plan.gateway.trusted_hops);
    let carry = |config, listener, transport, unread, server_name, peer| {
        let (worker, socket, limits) = (worker.clone(), socket.clone(), limits.clone());
        let place = Place { worker, socket, remote, local, limits, access_log };
        Box::pin(layer4::carry(Arrived { place, config, listener, transport, unread, server_name, peer }))
    };
    let mut client = None;
    if let Some(listener) = plan.carrier {
        carry(config, listener, Transport::Tcp(stream), BytesMut::new(), None, None).await;
        return None;
    }
    if let Some(listener) = plan.outlet {
        let listener = config.compiled.router.listener(listener).clone();
        drop(config);
        let place = Place { worker, socket, remote, local, limits, access_log };
        Box::pin(egress::serve(place, listener, Transport::Tcp(stream), None)).await;
        return None;
    }
    let (connection, protocol, sni, validation, tls) = match &plan.tls {
        None => {
            let mut connection = Http1::new(Transport::Tcp(stream));
            // Looking takes in what has arrived; HTTP/1 finds it in the same buffer.
            let preface = poll_fn(|task| match connection.poll_preface(task) {
                // Nothing was asked for yet: a drain need not wait for the head's bound.
                Poll::Pending if worker.draining() || socket.closed.get() => Poll::Ready(Err(())),
                preface => preface.map_err(|_| ()),
            });
            let protocol = bounded(limits.request_head_timeout_ms, preface).await?.ok()?;
            (connection, protocol, None, None, false)
        }
        Some(Err(_)) => return None,
        Some(Ok(server)) => {
            let accepted = bounded(limits.tls_handshake_timeout_ms, server.accept(stream)).await?.ok()?;
            let id = *config.compiled.router.sockets()[id.0 as usize].listeners.get(accepted.listener)?;
            let listener = config.compiled.router.listener(id).clone();
            if listener.protocol == ListenerProtocol::Tls {
                let peer = accepted.peer.as_ref().and_then(identity);
                carry(config, id, accepted.transport, accepted.unread, accepted.sni, peer).await;
                return None;
            }
            if listener.egress.is_some() {
                drop(config);
                let place = Place { worker, socket, remote, local, limits, access_log };
                Box::pin(egress::serve(place, listener, accepted.transport, accepted.peer)).await;
                return None;
            }
            client = accepted.peer;
            let protocol = if accepted.alpn_h2 { Preface::Http2 } else { Preface::Http1 };
            let validation = listener.client_validation.clone();
            (Http1::new(accepted.transport), protocol, accepted.sni.map(Rc::from), validation, true)
        }
    };
    drop(config);
    let forwarding = Forwarding::new(trusted_hops, remote.ip(), if tls { Scheme::Https } else { Scheme::Http });
    let forwarding = match client.as_ref().and_then(told) {
        Some(told) => forwarding.with_certificate(told),
        None => forwarding,
    };
    let context = ConnectionContext {
        worker,
        socket,
        remote,
        remote_text: remote.to_string().into(),
        log_fields: connection_fields(&local.to_string(), sni.as_deref()),
        tls,
        sni,
        validation,
        peer: client.as_ref().and_then(identity),
        local: local.ip(),
        limits,
        access_log,
        trusted_hops,
        forwarding,
        told_to_leave: Cell::new(None),
    };
    Some((context, connection, protocol))
}

/// Who a verified certificate is for: the one SPIFFE name that it has, or nobody.
fn identity(certificate: &PeerIdentity) -> Option<Box<Peer>> {
    certificate.spiffe_uri().and_then(Peer::new).map(Box::new)
}

/// What backends are told of a verified certificate.
fn told(certificate: &PeerIdentity) -> Option<HeaderValue> {
    HeaderValue::try_from(certificate.forwarded()).ok()
}

async fn bounded<T>(milliseconds: u64, future: impl Future<Output = T>) -> Option<T> {
    if milliseconds == 0 {
        return Some(future.await);
    }
    tokio::time::timeout(Duration::from_millis(milliseconds), future).await.ok()
}
