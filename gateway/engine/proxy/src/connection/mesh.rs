//! Before a workload of the mesh, and where something goes out of it: mutual TLS, or what else the mode lets in.

use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use sekisho_stream::Preface;
use sekisho_table::ListenerProtocol;
use sekisho_tls::{Arrival, Serves, TlsError, TlsErrorKind, Transport};
use tokio::net::TcpStream;

use super::bounded;
use super::establish::{Reception, Spoken};
use crate::egress;
use crate::layer4;
use crate::reason::Reason;

/// A client that has said nothing by then waits for its server to begin, as those of some databases do.
const SERVER_FIRST: Duration = Duration::from_millis(500);

/// What a connection is, or nothing where it was refused; that is told then.
pub async fn receive(reception: Reception, stream: TcpStream, strict: bool) -> Option<(Reception, Spoken)> {
    let listener = reception.listener()?;
    let protocol = reception.config.compiled.router.listener(listener).protocol;
    // Of TLS listeners only a way out is here, and what it lets out is its clients' own TLS.
    let carries = matches!(protocol, ListenerProtocol::Tcp | ListenerProtocol::Tls);
    // Readiness alone may be stale: only a byte that can be seen has arrived.
    if protocol == ListenerProtocol::Tcp
        && !strict
        && tokio::time::timeout(SERVER_FIRST, stream.peek(&mut [0])).await.is_err()
    {
        let spoken = Spoken::plain(Transport::Tcp(stream), BytesMut::new());
        return Some((reception, spoken));
    }
    let serves = if carries { Serves::Bytes } else { Serves::Http };
    let identity = &reception.entrance.worker.identity;
    let accepted = bounded(reception.limits.tls_handshake_timeout_ms, identity.accept(stream, serves, strict)).await?;
    let spoken = match accepted {
        Ok(Arrival::Mutual { transport, peer, sni, http2 }) => {
            let protocol = http2.map(|http2| if http2 { Preface::Http2 } else { Preface::Http1 });
            let client = Some(Rc::new(peer));
            Spoken { protocol, sni, client, mutual: true, ..Spoken::plain(transport, BytesMut::new()) }
        }
        Ok(Arrival::Plain { stream, unread }) if !strict => Spoken::plain(Transport::Tcp(stream), unread),
        Ok(Arrival::Foreign { stream, unread, sni }) if carries => {
            Spoken { sni, ..Spoken::plain(Transport::Tcp(stream), unread) }
        }
        Ok(Arrival::Plain { .. } | Arrival::Foreign { .. }) => {
            refuse(&reception, Reason::MutualTlsRequired, None);
            return None;
        }
        Err(error) => {
            refuse_broken(&reception, &error);
            return None;
        }
    };
    Some((reception, spoken))
}

/// Closes, and says why.
pub fn refuse(reception: &Reception, reason: Reason, detail: Option<String>) {
    if let Some(listener) = reception.outlet() {
        let listener = reception.config.compiled.router.listener(listener).clone();
        egress::record_unproved(reception.place(), listener, reason);
    }
    if let Some(listener) = reception.listener() {
        layer4::refuse(reception.place(), &reception.config, listener, reason, detail);
    }
}

/// A handshake that failed. Who only looked in and left is not worth a word.
pub fn refuse_broken(reception: &Reception, error: &TlsError) {
    let reason = match error.kind {
        TlsErrorKind::Closed => return,
        TlsErrorKind::NoIdentity => Reason::MeshIdentityMissing,
        _ => Reason::MutualTlsFailed,
    };
    refuse(reception, reason, Some(error.message.clone()));
}
