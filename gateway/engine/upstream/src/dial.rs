//! From an endpoint to an open connection: addresses, TCP, TLS.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use sekisho_tls::{AlpnOffer, Transport};
use tokio::net::{TcpSocket, TcpStream};

use crate::endpoint::EndpointState;
use crate::error::Failure;
use crate::spec::{BackendSpec, Target, TransportSpec};
use crate::tunnel::{self, Way};

/// How long one address may keep the next waiting (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Runs `work` for at most `bound`; zero means no bound.
pub(crate) async fn bounded<T>(bound: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    if bound.is_zero() {
        return work.await;
    }
    match tokio::time::timeout(bound, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Timeout(
            format!("no connection within {} ms; maybe a firewall drops the packets", bound.as_millis()).into(),
        )),
    }
}

/// Without `with_tls` the backend's own TLS is left out.
pub(crate) async fn dial(
    endpoint: &EndpointState,
    spec: &BackendSpec,
    with_tls: bool,
    offer: AlpnOffer,
) -> Result<Transport, Failure> {
    let tls = match &spec.transport {
        TransportSpec::Tls(tls) if with_tls => Some(tls),
        TransportSpec::Unusable(reason) if with_tls => return Err(Failure::Tls(reason.clone())),
        TransportSpec::Plain | TransportSpec::Tls(_) | TransportSpec::Unusable(_) => None,
    };
    // TLS of the backend itself goes before the mesh's.
    let peer = if tls.is_some() { None } else { endpoint.peer() };
    if let (Some(peer), Target::Address(destination)) = (peer, endpoint.target())
        && let Some(address) = peer.tunnel
    {
        let way = Way { identity: &peer.identity, address, destination: *destination };
        return tunnel::open(endpoint.shared(), &way).await;
    }
    let addresses = addresses(endpoint).await?;
    let stream =
        connect_any(&addresses, spec.backend.dscp).await.map_err(|error| Failure::Connect(explain(&error).into()))?;
    // Only a socket that is already gone refuses this, and the first write will say so.
    stream.set_nodelay(true).ok();
    let connected = match (tls, peer) {
        (None, None) => return Ok(Transport::Tcp(stream)),
        (Some(tls), _) => tls.connect(stream, offer).await,
        (None, Some(peer)) => {
            let identity = &endpoint.shared().identity;
            identity.connect(stream, &peer.identity, &spec.backend.mesh_server_name, offer).await
        }
    };
    let (transport, _alpn) = connected?;
    Ok(transport)
}

/// At least one, in the order to try them: a name's addresses start at a random one, so that they share the load.
pub(crate) async fn addresses(endpoint: &EndpointState) -> Result<Vec<SocketAddr>, Failure> {
    match endpoint.target() {
        Target::Address(address) => Ok(vec![*address]),
        Target::Name { host, port } => {
            let shared = endpoint.shared();
            let found = shared.dns.lookup(host).await.map_err(|reason| Failure::Dns((*reason).into()))?;
            let mut addresses: Vec<_> = found.iter().map(|address| SocketAddr::new(*address, *port)).collect();
            let start = shared.random.below(addresses.len());
            addresses.rotate_left(start);
            Ok(addresses)
        }
    }
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// The first address that answers; each gets a head start on the next (RFC 8305). `addresses` is not empty.
async fn connect_any(addresses: &[SocketAddr], dscp: u8) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return connect(*only, dscp).await;
    }
    let mut attempts: FuturesUnordered<Attempt> = FuturesUnordered::new();
    let mut remaining = addresses.iter().copied();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = remaining.next() {
            attempts.push(Box::pin(connect(address, dscp)));
        }
        let finished = if remaining.len() == 0 {
            attempts.next().await
        } else {
            match select(attempts.next(), pin!(tokio::time::sleep(HEAD_START))).await {
                Either::Left((finished, _)) => finished,
                Either::Right(_) => continue,
            }
        };
        match finished {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last_error = error,
            None => return Err(last_error),
        }
    }
}

/// With a code point in all packets, the first included; zero leaves them as the system has them.
async fn connect(address: SocketAddr, dscp: u8) -> io::Result<TcpStream> {
    if dscp == 0 {
        return TcpStream::connect(address).await;
    }
    // Beside two bits of congestion notification, which are the system's.
    let traffic_class = u32::from(dscp) << 2;
    let socket = if address.is_ipv4() {
        let socket = TcpSocket::new_v4()?;
        socket.set_tos_v4(traffic_class)?;
        socket
    } else {
        let socket = TcpSocket::new_v6()?;
        socket.set_tclass_v6(traffic_class)?;
        socket
    };
    socket.connect(address).await
}

pub(crate) fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused; maybe nothing listens on that port".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "there is no route to it; maybe the address is of another network".to_owned()
        }
        io::ErrorKind::TimedOut => "it did not answer; maybe a firewall drops the packets".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_code_point_is_in_the_packets_of_either_family_and_none_where_there_is_none() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(place).await else { continue };
            let address = listener.local_addr().expect("an address");
            for dscp in [0, 43] {
                let stream = connect(address, dscp).await.expect("a connection");
                let socket = SockRef::from(&stream);
                let class = if address.is_ipv4() { socket.tos_v4() } else { socket.tclass_v6() };
                assert_eq!(class.expect("a traffic class"), u32::from(dscp) << 2, "{place}");
            }
        }
    }
}
