//! Rules on what belongs to the mesh: peers, captured listeners, mutual TLS and tunnels.

use std::net::{IpAddr, SocketAddr};

use super::Verdict;
use super::name::{at, bounded, problem};
use crate::model::{Captured, Listener, ListenerProtocol, Peer, PeerTunnel, Workload};

const MAX_NAME_BYTES: usize = 1024;
const MAX_ADDRESSES: usize = 65_536;

/// `address` is the endpoint's.
pub fn peer(peer: &Peer, address: &str) -> Verdict {
    at("identity", bounded(peer.identity.len(), MAX_NAME_BYTES, "bytes"))?;
    if !is_identity(&peer.identity) {
        let text = format!(
            "`{}` is no identity; write `trust-domain/ns/namespace/sa/service-account`",
            peer.identity.escape_debug()
        );
        return at("identity", problem(text));
    }
    if peer.tunnel == PeerTunnel::Hbone && address.parse::<IpAddr>().is_err() {
        let text = format!("`{address}` is a name, and a tunnel leads to an IP address; write the address");
        return at("tunnel", problem(text));
    }
    if !peer.tunnel_address.is_empty() {
        if peer.tunnel == PeerTunnel::None {
            let text = "there is no tunnel; name one, or leave the address out";
            return at("tunnel_address", problem(text));
        }
        at("tunnel_address", socket_address(&peer.tunnel_address))?;
    }
    at("workload", bounded(peer.workload.len(), MAX_NAME_BYTES, "bytes"))?;
    let names = peer.workload.split_once('/');
    if !peer.workload.is_empty() && !names.is_some_and(|(namespace, name)| is_name(namespace) && is_name(name)) {
        let text = format!("`{}` is no workload; write `namespace/name`", peer.workload.escape_debug());
        return at("workload", problem(text));
    }
    Ok(())
}

fn is_identity(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let [domain, "ns", namespace, "sa", account] = parts.as_slice() else { return false };
    is_name(domain) && !domain.bytes().any(|byte| byte.is_ascii_uppercase()) && is_name(namespace) && is_name(account)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub fn workload(workload: &Workload) -> Verdict {
    for (field, value) in [("name", &workload.name), ("namespace", &workload.namespace)] {
        if value.is_empty() {
            return at(field, problem("it is empty; name the workload"));
        }
    }
    for (field, value) in [
        ("name", &workload.name),
        ("namespace", &workload.namespace),
        ("canonical_service", &workload.canonical_service),
        ("canonical_revision", &workload.canonical_revision),
        ("cluster", &workload.cluster),
    ] {
        at(field, bounded(value.len(), MAX_NAME_BYTES, "bytes"))?;
    }
    Ok(())
}

/// What a listener says of the mesh, and whether that goes with its protocol.
pub fn listener(listener: &Listener) -> Verdict {
    let protocol = listener.protocol;
    if let Some(captured) = &listener.captured {
        if matches!(protocol, ListenerProtocol::Udp | ListenerProtocol::Hbone) {
            let text = format!("a {} listener takes no captured connections; leave it out", protocol.as_str());
            return at("captured", problem(text));
        }
        at("captured", captured_connections(captured))?;
    }
    let ends_mutual_tls = match protocol {
        ListenerProtocol::Http | ListenerProtocol::Tcp => true,
        ListenerProtocol::Tls => listener.egress.is_some(),
        ListenerProtocol::Https | ListenerProtocol::Udp | ListenerProtocol::Hbone => false,
    };
    if listener.mesh.is_some() && !ends_mutual_tls {
        let text = "only HTTP and TCP listeners, and ways out of TLS, end the mesh's mutual TLS; leave it out";
        return at("mesh", problem(text));
    }
    if protocol != ListenerProtocol::Hbone {
        if !listener.inner.is_empty() {
            return at("inner", problem("only an HBONE listener hands tunnels on; leave it out"));
        }
        return Ok(());
    }
    at("inner", socket_address(&listener.inner))?;
    if !listener.authorization.is_empty() {
        let text = "the listeners behind an HBONE listener decide; name the policies there";
        return at("authorization", problem(text));
    }
    Ok(())
}

fn captured_connections(captured: &Captured) -> Verdict {
    at("addresses", bounded(captured.addresses.len(), MAX_ADDRESSES, "addresses"))
}

fn socket_address(text: &str) -> Verdict {
    let number = text.rsplit_once(':').map(|(_, number)| number);
    match text.parse::<SocketAddr>() {
        // Zones have no meaning that both sides share.
        Ok(it) if it.port() != 0 && number == Some(it.port().to_string().as_str()) && !text.contains('%') => Ok(()),
        _ => problem(format!(
            "`{}` is no address with a port; write one such as `127.0.0.1:15006` or `[::1]:15006`",
            text.escape_debug()
        )),
    }
}
