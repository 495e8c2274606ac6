//! From an entrance to a protocol: TLS where the socket asks for it, and what is spoken inside.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::BytesMut;
use http::HeaderValue;
use sekisho_codec::Scheme;
use sekisho_filter::edge::forwarded::Forwarding;
use sekisho_policy::Peer;
use sekisho_router::{ListenerId, SocketId};
use sekisho_stream::{Http1, Preface};
use sekisho_table::{ClientValidation, Limits, ListenerProtocol, MeshMode};
use sekisho_tls::{PeerIdentity, ServerTls, Transport};
use tokio::net::TcpStream;

use super::entrance::{Carrier, Entrance};
use super::{ConnectionContext, bounded, hbone, mesh};
use crate::access_log::connection_fields;
use crate::active_config::ActiveConfig;
use crate::egress;
use crate::layer4::{self, Arrived, Place};
use crate::parties::{Party, Reporter, Standing};
use crate::series::Security;

/// A connection whose requests can be read.
pub type Established = (ConnectionContext, Http1<Transport>, Preface);

/// The socket that a connection came to, as it is configured when it came.
pub struct Reception {
    pub entrance: Entrance,
    pub config: Rc<ActiveConfig>,
    pub socket: SocketId,
    pub limits: Limits,
    pub access_log: bool,
    trusted_hops: u32,
}

/// What the bytes of a connection are, once its TLS is settled.
pub struct Spoken {
    pub transport: Transport,
    pub unread: BytesMut,
    /// `None` where the first bytes tell.
    pub protocol: Option<Preface>,
    /// TLS of the listener's own.
    pub tls: bool,
    pub sni: Option<String>,
    pub validation: Option<ClientValidation>,
    pub client: Option<Rc<PeerIdentity>>,
    /// The client was verified by the mesh's mutual TLS.
    pub mutual: bool,
}

impl Spoken {
    pub fn plain(transport: Transport, unread: BytesMut) -> Self {
        let (sni, validation, client) = (None, None, None);
        Self { transport, unread, protocol: None, tls: false, sni, validation, client, mutual: false }
    }

    fn certified(&self) -> Option<egress::Certified> {
        self.client.clone().map(|certificate| egress::Certified { certificate, in_mesh: self.mutual })
    }
}

/// The protocol of a connection; `None` when the client is not worth an answer, or was served already.
pub async fn establish(entrance: Entrance, carrier: Carrier) -> Option<Established> {
    let config = entrance.worker.config();
    let socket = entrance.socket_id(&config)?;
    let plan = config.compiled.socket_plan(socket);
    let (inner, mode, tls) = (plan.inner, plan.mesh, plan.tls.as_ref().map(|tls| tls.as_ref().ok().cloned()));
    let reception = Reception {
        entrance,
        socket,
        limits: plan.limits().clone(),
        access_log: plan.gateway.access_log,
        trusted_hops: plan.gateway.trusted_hops,
        config: config.clone(),
    };
    drop(config);
    let (reception, spoken) = match (carrier, tls) {
        (Carrier::Tunnel(transport, client), None) => {
            let spoken = Spoken { client: Some(client), mutual: true, ..Spoken::plain(transport, BytesMut::new()) };
            (reception, spoken)
        }
        // TLS inside a tunnel would need a listener that ends or reads it there.
        (Carrier::Tunnel(..), Some(_)) => return None,
        (Carrier::Socket(stream), _) if inner.is_some() => {
            Box::pin(hbone::serve(reception, stream, inner?)).await;
            return None;
        }
        (Carrier::Socket(stream), _) if matches!(mode, Some(MeshMode::Strict | MeshMode::Permissive)) => {
            Box::pin(mesh::receive(reception, stream, mode == Some(MeshMode::Strict))).await?
        }
        (Carrier::Socket(stream), _) if reception.outlet().is_some() => {
            (reception, Spoken::plain(Transport::Tcp(stream), BytesMut::new()))
        }
        (Carrier::Socket(stream), None) => (reception, Spoken::plain(Transport::Tcp(stream), BytesMut::new())),
        (Carrier::Socket(stream), Some(server)) => return with_tls(reception, stream, &*server?).await,
    };
    if let Some(listener) = reception.outlet() {
        reception.let_out(listener, spoken).await;
        return None;
    }
    if let Some(listener) = reception.config.compiled.socket_plan(reception.socket).carrier {
        reception.carry(listener, spoken).await;
        return None;
    }
    reception.finish(spoken).await
}

async fn with_tls(reception: Reception, stream: TcpStream, server: &ServerTls) -> Option<Established> {
    let accepted = bounded(reception.limits.tls_handshake_timeout_ms, server.accept(stream)).await?.ok()?;
    let router = &reception.config.compiled.router;
    let id = *router.sockets()[reception.socket.0 as usize].listeners.get(accepted.listener)?;
    let listener = router.listener(id).clone();
    let spoken = Spoken {
        transport: accepted.transport,
        unread: accepted.unread,
        protocol: Some(if accepted.alpn_h2 { Preface::Http2 } else { Preface::Http1 }),
        tls: true,
        sni: accepted.sni,
        validation: listener.client_validation.clone(),
        client: accepted.peer.map(Rc::new),
        mutual: false,
    };
    if listener.egress.is_some() {
        reception.let_out(id, spoken).await;
        return None;
    }
    if listener.protocol == ListenerProtocol::Tls {
        reception.carry(id, spoken).await;
        return None;
    }
    reception.finish(spoken).await
}

impl Reception {
    /// The first listener of the socket: before a workload, and of tunnels, the only one that matters before a request.
    pub fn listener(&self) -> Option<ListenerId> {
        self.config.compiled.router.sockets()[self.socket.0 as usize].listeners.first().copied()
    }

    /// For telemetry: worked out once a connection.
    pub fn standing(&self, spoken: &Spoken) -> Standing {
        let plan = self.config.compiled.socket_plan(self.socket);
        let worker = &self.entrance.worker;
        let client = spoken.client.as_deref().filter(|_| spoken.mutual).and_then(identity);
        Standing {
            reporter: if plan.before_workload { Reporter::Destination } else { Reporter::Source },
            own: worker.own_parties(&plan.gateway),
            client: client.map(|peer| worker.statistics.borrow_mut().party(&Party::client(&peer))).unwrap_or_default(),
            security: match (spoken.mutual, spoken.tls) {
                (true, _) => Security::MutualTls,
                (false, true) => Security::Tls,
                (false, false) => Security::None,
            },
        }
    }

    /// The listener that all connections of the socket go out by.
    pub fn outlet(&self) -> Option<ListenerId> {
        self.config.compiled.socket_plan(self.socket).outlet
    }

    pub fn is_over(&self) -> bool {
        self.entrance.worker.draining() || self.entrance.socket.closed.get()
    }

    pub fn place(&self) -> Place {
        let Entrance { worker, socket, remote, local, captured } = &self.entrance;
        Place {
            worker: worker.clone(),
            socket: socket.clone(),
            remote: *remote,
            local: *local,
            original_destination: captured.as_ref().and_then(super::CapturedPlace::dialled),
            limits: self.limits.clone(),
            access_log: self.access_log,
        }
    }

    /// By a way out.
    async fn let_out(self, listener: ListenerId, spoken: Spoken) {
        let listener = self.config.compiled.router.listener(listener).clone();
        let place = self.place();
        drop(self);
        let certified = spoken.certified();
        let Spoken { transport, unread, protocol, .. } = spoken;
        let arrival = egress::Arrival { place, listener, transport, unread, certified, protocol };
        Box::pin(egress::serve(arrival)).await;
    }

    async fn carry(self, listener: ListenerId, spoken: Spoken) {
        let place = self.place();
        let peer = spoken.client.as_deref().and_then(identity);
        let standing = self.standing(&spoken);
        let certified = spoken.certified();
        let Spoken { transport, unread, sni: server_name, .. } = spoken;
        let config = self.config;
        let arrived = Arrived { place, config, listener, transport, unread, server_name, peer, certified, standing };
        Box::pin(layer4::carry(arrived)).await;
    }

    async fn finish(self, spoken: Spoken) -> Option<Established> {
        let standing = self.standing(&spoken);
        let mut connection = Http1::with_buffered(spoken.transport, spoken.unread);
        let protocol = match spoken.protocol {
            Some(protocol) => protocol,
            // Looking takes in what has arrived; HTTP/1 finds it in the same buffer.
            None => self.preface(&mut connection).await?,
        };
        let before_workload = self.config.compiled.socket_plan(self.socket).before_workload;
        let Reception { entrance, config, limits, access_log, trusted_hops, .. } = self;
        drop(config);
        let Entrance { worker, socket, remote, local, captured } = entrance;
        let scheme = if spoken.tls { Scheme::Https } else { Scheme::Http };
        let mut forwarding = Forwarding::new(trusted_hops, remote.ip(), scheme);
        if let Some(told) = spoken.client.as_deref().and_then(told) {
            forwarding = forwarding.with_certificate(told);
        }
        if before_workload {
            forwarding = forwarding.with_certificate_alone();
        }
        let peer = spoken.client.as_deref().and_then(identity);
        let named = peer.as_deref().map(Peer::principal);
        let context = ConnectionContext {
            worker,
            socket,
            remote,
            remote_text: remote.to_string().into(),
            log_fields: connection_fields(&local.to_string(), named, spoken.sni.as_deref()),
            tls: spoken.tls,
            standing,
            captured,
            sni: spoken.sni.map(Rc::from),
            validation: spoken.validation,
            peer,
            certificate: spoken.client,
            local: local.ip(),
            limits,
            access_log,
            trusted_hops,
            forwarding,
            told_to_leave: Cell::new(None),
        };
        Some((context, connection, protocol))
    }

    async fn preface(&self, connection: &mut Http1<Transport>) -> Option<Preface> {
        let preface = poll_fn(|task| match connection.poll_preface(task) {
            // Nothing was asked for yet: a drain need not wait for the head's bound.
            Poll::Pending if self.is_over() => Poll::Ready(Err(())),
            preface => preface.map_err(|_| ()),
        });
        bounded(self.limits.request_head_timeout_ms, preface).await?.ok()
    }
}

/// Who a verified certificate is for: the one SPIFFE name that it has, or nobody.
fn identity(certificate: &PeerIdentity) -> Option<Box<Peer>> {
    certificate.spiffe_uri().and_then(Peer::new).map(Box::new)
}

/// What backends are told of a verified certificate.
fn told(certificate: &PeerIdentity) -> Option<HeaderValue> {
    HeaderValue::try_from(certificate.forwarded()).ok()
}
