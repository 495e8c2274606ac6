//! From a client that may be of the mesh.

use bytes::BytesMut;
use rustls::server::ClientHello;
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;

use super::credentials::{Credentials, MeshIdentity};
use crate::error::{TlsError, TlsErrorKind};
use crate::hello::{self, First, Hello};
use crate::identity::PeerIdentity;
use crate::server_name::normalize;
use crate::transport::Transport;

/// What comes out of the TLS that is ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    Http,
    /// HTTP/2 alone, as tunnels need it.
    Http2,
    Bytes,
}

/// What a connection turned out to be.
#[derive(Debug)]
pub enum Arrival {
    /// Mutual TLS, ended here.
    Mutual {
        transport: Transport,
        /// Verified; it has exactly one URI.
        peer: PeerIdentity,
        sni: Option<String>,
        /// What was selected by ALPN; `None` where nothing was.
        http2: Option<bool>,
    },
    /// Not TLS; with what was read of it.
    Plain { stream: TcpStream, unread: BytesMut },
    /// TLS that is not the mesh's; with what was read of it.
    Foreign { stream: TcpStream, unread: BytesMut, sni: Option<String> },
}

impl MeshIdentity {
    /// Looks at the first bytes, and ends TLS that is the mesh's: all of it where `every` is set, else what offers one of
    /// the mesh's protocols by ALPN. The caller bounds the time.
    pub async fn accept(&self, stream: TcpStream, serves: Serves, every: bool) -> Result<Arrival, TlsError> {
        let hello = match hello::first(stream).await? {
            First::Tls(hello) => hello,
            First::Other { stream, bytes } => return Ok(Arrival::Plain { stream, unread: bytes }),
        };
        let client = hello.accepted.client_hello();
        let sni = client.server_name().map(normalize);
        if !every && !offers(&client, |protocol| protocol == b"istio" || protocol.starts_with(b"istio-")) {
            return Ok(Arrival::Foreign { stream: hello.stream, unread: hello.bytes, sni });
        }
        let credentials = self.usable()?;
        finish(&credentials, hello, serves, sni).await
    }
}

fn offers(hello: &ClientHello<'_>, wanted: impl Fn(&[u8]) -> bool) -> bool {
    hello.alpn().is_some_and(|mut protocols| protocols.any(wanted))
}

async fn finish(
    credentials: &Credentials,
    hello: Box<Hello>,
    serves: Serves,
    sni: Option<String>,
) -> Result<Arrival, TlsError> {
    let client = hello.accepted.client_hello();
    let config = match serves {
        Serves::Http2 => &credentials.http2,
        // A client that names none of HTTP's protocols is asked for none: what it speaks is seen by its first bytes.
        Serves::Http if offers(&client, |protocol| protocol == b"h2" || protocol == b"http/1.1") => &credentials.http,
        Serves::Http | Serves::Bytes => &credentials.bytes,
    };
    let start = StartHandshake::from_parts(hello.accepted, hello.stream);
    let stream = start.into_stream(config.clone()).await;
    let stream = stream.map_err(|error| TlsError::from_io(&error, "the client"))?;
    let session = stream.get_ref().1;
    let peer = PeerIdentity::from_chain(session.peer_certificates());
    let peer = peer.ok_or_else(|| TlsError::new(TlsErrorKind::Certificate, "the client presented no certificate"))?;
    let http2 = session.alpn_protocol().map(|protocol| protocol == b"h2");
    Ok(Arrival::Mutual { transport: Transport::Server(Box::new(stream)), peer, sni, http2 })
}
