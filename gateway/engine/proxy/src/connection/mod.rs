//! One client connection: TLS, the choice of protocol, and its life.

mod entrance;
mod establish;
mod hbone;
mod http1;
mod http2;
mod mesh;
mod tunnel;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use sekisho_filter::edge::forwarded::Forwarding;
use sekisho_policy::Peer;
use sekisho_router::SocketId;
use sekisho_stream::Preface;
use sekisho_table::{ClientValidation, Limits};
use sekisho_tls::{PeerIdentity, Transport};
use tokio::net::TcpStream;

use crate::active_config::ActiveConfig;
use crate::authorization::Caller;
use crate::egress::Certified;
use crate::parties::Standing;
use crate::series::Security;
use crate::watchdog::after;
use crate::worker::{ListeningSocket, Worker};
pub use entrance::CapturedPlace;
use entrance::{Carrier, Entrance};

/// What every request of a connection shares.
pub struct ConnectionContext {
    pub worker: Rc<Worker>,
    pub socket: Rc<ListeningSocket>,
    pub remote: SocketAddr,
    /// What every access-log line of the connection says.
    pub remote_text: Box<str>,
    pub log_fields: Box<[u8]>,
    pub tls: bool,
    /// For telemetry.
    pub standing: Standing,
    /// How it was captured, where it was.
    pub captured: Option<CapturedPlace>,
    /// The name the client asked for in TLS, lower case.
    pub sni: Option<Rc<str>>,
    /// What its client certificate was held to.
    pub validation: Option<ClientValidation>,
    /// Who its client is, by a certificate that was verified.
    pub peer: Option<Box<Peer>>,
    /// Its certificate.
    pub certificate: Option<Rc<PeerIdentity>>,
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

    /// Its certificate, and how it was verified.
    pub fn certified(&self) -> Option<Certified> {
        let in_mesh = self.standing.security == Security::MutualTls;
        self.certificate.clone().map(|certificate| Certified { certificate, in_mesh })
    }

    /// The socket in a configuration, while it has one.
    pub fn socket_id(&self, config: &ActiveConfig) -> Option<SocketId> {
        match &self.captured {
            None => self.socket.id(config),
            Some(captured) => captured.id(config),
        }
    }

    /// Where a captured connection goes on to, if nobody decides otherwise.
    pub fn original_destination(&self) -> Option<SocketAddr> {
        self.captured.as_ref().and_then(CapturedPlace::dialled)
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
    let _registration = worker.registered().await;
    if let Some(entrance) = Entrance::of_socket(worker, socket, &stream, remote) {
        speak(entrance, Carrier::Socket(stream)).await;
    }
}

/// Serves what came through a tunnel to its end.
async fn serve_tunnelled(entrance: Entrance, transport: Transport, client: Rc<PeerIdentity>) {
    let _registration = entrance.worker.registered().await;
    speak(entrance, Carrier::Tunnel(transport, client)).await;
}

async fn speak(entrance: Entrance, carrier: Carrier) {
    let Some((context, connection, protocol)) = establish::establish(entrance, carrier).await else {
        return;
    };
    let context = Rc::new(context);
    match protocol {
        Preface::Http1 => http1::serve(context, connection).await,
        // Boxed: most connections are HTTP/1, and idle ones should be small.
        Preface::Http2 => Box::pin(http2::serve(context, connection)).await,
    }
}

async fn bounded<T>(milliseconds: u64, future: impl Future<Output = T>) -> Option<T> {
    if milliseconds == 0 {
        return Some(future.await);
    }
    tokio::time::timeout(Duration::from_millis(milliseconds), future).await.ok()
}
