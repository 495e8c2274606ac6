//! Tunnels of other workloads (HBONE): HTTP/2 CONNECT over mutual TLS, each handed to the captured listeners behind it.
//!
//! A tunnel leads where a captured listener takes it, and nowhere else: to the workload itself, or to an address that a
//! listener names. Whoever is verified may therefore not use the gateway as a way to somewhere else.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::BytesMut;
use http::{Method, StatusCode};
use sekisho_codec::{BodyKind, Headers, RequestHead, ResponseHead, Scheme};
use sekisho_stream::{Http2Exchange, Http2Options, Http2Server};
use sekisho_tls::{Arrival, PeerIdentity, Serves, Transport};
use tokio::net::TcpStream;

use super::entrance::{CapturedPlace, Entrance};
use super::establish::Reception;
use super::{bounded, mesh, serve_tunnelled};
use crate::http2_options::http2_options;
use crate::reason::Reason;
use crate::stream_tasks::{Bounds, Event, Open, StreamTasks};
use crate::worker::ConnectionCount;

/// `inner`: the address of the captured listeners that take what tunnels carry.
pub async fn serve(reception: Reception, stream: TcpStream, inner: SocketAddr) {
    let identity = reception.entrance.worker.identity.clone();
    let accepting = identity.accept(stream, Serves::Http2, true);
    let Some(accepted) = bounded(reception.limits.tls_handshake_timeout_ms, accepting).await else { return };
    let (transport, client) = match accepted {
        Ok(Arrival::Mutual { transport, peer, .. }) => (transport, Rc::new(peer)),
        Ok(Arrival::Plain { .. } | Arrival::Foreign { .. }) => {
            return mesh::refuse(&reception, Reason::MutualTlsRequired, None);
        }
        Err(error) => return mesh::refuse_broken(&reception, &error),
    };
    let options = Http2Options { takes_connect: true, ..http2_options(&reception.limits) };
    let connection = Http2Server::with_buffered(transport, BytesMut::new(), Scheme::Https, &options);
    let idle = reception.limits.connection_idle_timeout_ms;
    let bounds = Bounds { first_ms: idle, idle_ms: idle, drain_ms: reception.limits.drain_timeout_ms };
    let tunnels = Tunnels { client, inner, reception };
    StreamTasks::new(connection, bounds)
        .run(
            || tunnels.reception.is_over(),
            |event| match event {
                Event::Asked(head, _, exchange, open) => tunnels.answer(&head, exchange, open),
                Event::Refused(_) => {}
            },
        )
        .await;
}

/// One connection of a peer. Each tunnel is served in a task of its own.
struct Tunnels {
    reception: Reception,
    client: Rc<PeerIdentity>,
    inner: SocketAddr,
}

impl Tunnels {
    fn answer(&self, head: &RequestHead, exchange: Http2Exchange, open: Open) {
        match self.admit(head) {
            Ok((entrance, count)) => {
                // A peer that has left in the meantime needs no answer.
                let Ok(tunnel) = exchange.into_tunnel(Headers::default()) else { return };
                let client = self.client.clone();
                tokio::task::spawn_local(async move {
                    serve_tunnelled(entrance, Transport::Carried(Box::new(tunnel)), client).await;
                    drop((count, open));
                });
            }
            Err(status) => refuse(exchange, status),
        }
    }

    fn admit(&self, head: &RequestHead) -> Result<(Entrance, ConnectionCount), StatusCode> {
        let Reception { entrance, limits, .. } = &self.reception;
        let authority = head.authority.to_str().unwrap_or_default();
        let destination: SocketAddr = match authority.parse() {
            Ok(destination) if head.method == Method::CONNECT => destination,
            _ => return Err(StatusCode::BAD_REQUEST),
        };
        self.check(destination)?;
        let (worker, socket) = (&entrance.worker, &entrance.socket);
        let (per_socket, total) = (limits.max_connections_per_listener, limits.max_connections);
        let count = ConnectionCount::admit(worker, socket, per_socket, total).ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let entrance = Entrance {
            worker: worker.clone(),
            socket: socket.clone(),
            remote: entrance.remote,
            local: destination,
            captured: Some(CapturedPlace::new(self.inner, destination, true)),
        };
        Ok((entrance, count))
    }

    /// Whether a listener takes the destination: one that names its address, or any one where it is the workload itself.
    fn check(&self, destination: SocketAddr) -> Result<(), StatusCode> {
        let config = self.reception.entrance.worker.config();
        let router = &config.compiled.router;
        let socket = config.compiled.captures(self.inner).and_then(|captures| captures.find(destination));
        let capture = socket.and_then(|socket| router.sockets()[socket.0 as usize].capture.as_ref());
        let capture = capture.ok_or(StatusCode::NOT_FOUND)?;
        let own = destination.ip().to_canonical() == self.reception.entrance.local.ip().to_canonical();
        if own || !capture.captured.addresses.is_empty() { Ok(()) } else { Err(StatusCode::NOT_FOUND) }
    }
}

fn refuse(mut exchange: Http2Exchange, status: StatusCode) {
    // A peer that has left in the meantime needs no answer.
    exchange.start_response(&ResponseHead { status, headers: Headers::default() }, BodyKind::Empty).ok();
}
