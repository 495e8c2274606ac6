//! Towards an endpoint of the mesh.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::credentials::MeshIdentity;
use super::peer::ServerVerifier;
use crate::client::{Alpn, AlpnOffer};
use crate::error::{TlsError, TlsErrorKind};
use crate::transport::Transport;

impl AlpnOffer {
    /// As Istio's sidecars offer it: they take a connection for the mesh's by the first name, and select the last.
    fn in_the_mesh(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"istio-http/1.1", b"istio", b"http/1.1"],
            Self::Http2 => &[b"istio-h2", b"istio", b"h2"],
            Self::Any => &[b"istio-h2", b"istio-http/1.1", b"istio", b"h2", b"http/1.1"],
            Self::None => &[b"istio"],
            Self::Tunnel => &[b"h2"],
        }
    }
}

impl MeshIdentity {
    /// Mutual TLS with whoever proves to be `expected` (without scheme). `server_name` is sent as SNI unless it is empty.
    /// The caller bounds the time.
    pub async fn connect(
        &self,
        stream: TcpStream,
        expected: &str,
        server_name: &str,
        offer: AlpnOffer,
    ) -> Result<(Transport, Alpn), TlsError> {
        let credentials = self.usable()?;
        let mut config = credentials.client.clone();
        config.alpn_protocols = offer.in_the_mesh().iter().map(|protocol| protocol.to_vec()).collect();
        let verifier = ServerVerifier::new(credentials.roots.clone(), expected);
        config.dangerous().set_certificate_verifier(verifier);
        let name = match server_name {
            // An address is never sent as SNI (RFC 6066, section 3).
            "" => ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            name => ServerName::try_from(name.to_owned()).map_err(|_| {
                TlsError::new(TlsErrorKind::Configuration, format!("{name:?} cannot be sent as a server name"))
            })?,
        };
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = connecting.await.map_err(|error| TlsError::from_io(&error, "the endpoint"))?;
        let alpn = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Alpn::Http2,
            _ => Alpn::Http1,
        };
        if matches!(offer, AlpnOffer::Http2 | AlpnOffer::Tunnel) && alpn == Alpn::Http1 {
            let text = "the endpoint does not speak HTTP/2: it did not select h2 by ALPN";
            return Err(TlsError::new(TlsErrorKind::Incompatible, text));
        }
        Ok((Transport::Client(Box::new(stream)), alpn))
    }
}
