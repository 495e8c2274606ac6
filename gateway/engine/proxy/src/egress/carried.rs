//! Connections of routes whose backend is a host outside: the policies are asked about its name and port, and what must be TLS
//! is looked at before the first byte goes out, as in tunnels of a forward proxy.

use std::net::SocketAddr;

use bytes::BytesMut;
use sekisho_egress::Host;
use sekisho_table::BackendTls;
use sekisho_tls::Transport;

use super::Certified;
use super::client::caller;
use super::gate::Gate;
use super::open::{self, Asked, Spoken};
use super::record::Record;
use super::routed::Leave;
use super::tunnel::{self, Named};
use super::watched;
use crate::reason::Reason;

/// Who asks, and for what.
pub struct Carried<'a> {
    pub certified: Option<&'a Certified>,
    pub host: &'a str,
    pub port: u16,
    pub secured: Secured<'a>,
    /// How long a `ClientHello` may take.
    pub handshake_ms: u64,
}

/// Whose TLS goes to the host.
#[derive(Clone, Copy)]
pub enum Secured<'a> {
    /// The gateway begins it, and verifies the host by this name.
    ByGateway(&'a str),
    /// The client's own passes through.
    ByClient,
    /// What is carried may be TLS or not.
    Unknown,
}

impl<'a> Secured<'a> {
    /// `with_tls`: TLS towards the backend is the gateway's, if there is any; otherwise the client's passes through.
    pub fn of(with_tls: bool, tls: Option<&'a BackendTls>) -> Self {
        match tls {
            _ if !with_tls => Self::ByClient,
            Some(tls) => Self::ByGateway(&tls.server_name),
            None => Self::Unknown,
        }
    }

    /// As policies are asked about it.
    pub fn spoken(self) -> Spoken {
        if let Self::Unknown = self { Spoken::Tunnel } else { Spoken::Tls }
    }
}

/// Records that a session does not go outside: of datagrams nothing proves where they go, so no policy can let them out.
pub fn deny_session(gate: &Gate, host: &str, port: u16) {
    let mut record = Record::begin(gate, &caller(gate.remote, None));
    (record.host, record.port) = (Some(host.into()), port);
    record.denied(Reason::EgressDenied);
}

impl Leave {
    /// With the addresses that may be dialled. An error was recorded.
    pub async fn for_connection(
        gate: Gate,
        carried: Carried<'_>,
        down: (&mut Transport, &mut BytesMut),
    ) -> Result<(Self, Vec<SocketAddr>), Reason> {
        let caller = caller(gate.remote, carried.certified);
        let mut record = Record::begin(&gate, &caller);
        let asked = match Host::parse(carried.host) {
            Ok(host) => {
                record.asks(&host, carried.port);
                Asked { caller, host, port: carried.port, spoken: carried.secured.spoken() }
            }
            Err(_) => {
                record.host = Some(carried.host.into());
                record.denied(Reason::EgressNameInvalid);
                return Err(Reason::EgressNameInvalid);
            }
        };
        let granted = async {
            if let Secured::ByGateway(name) = carried.secured
                && Host::parse(name).as_ref() != Ok(&asked.host)
            {
                return Err(Reason::EgressNameMismatch);
            }
            let permitted = open::permit(&gate, &asked, None, &mut record).await;
            let (permit, addresses) = permitted.map_err(|refused| refused.reason)?;
            let rule = permit.grant.rule.as_ref();
            let named = match carried.secured {
                Secured::ByGateway(_) => Named::Settled,
                // As of redirected TLS: another name is another name whatever may be carried, but for a policy that reports.
                Secured::ByClient if rule.is_none() => Named::Unknown,
                Secured::Unknown if permit.grant.opaque => Named::Unknown,
                Secured::ByClient | Secured::Unknown => {
                    let hello = tunnel::read_hello(carried.handshake_ms, down.0, down.1).await?;
                    Named::Watched(watched::watch(down.0, down.1, &hello, &asked.host, rule)?)
                }
            };
            Ok((permit, addresses, named))
        };
        match granted.await {
            Ok((permit, addresses, named)) => {
                let is_tls = named.agrees() || !matches!(carried.secured, Secured::Unknown);
                record.protocol = Some(if is_tls { "TLS" } else { "TCP" });
                let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, carried.port)).collect();
                Ok((Self::new(gate, asked, permit, record, named), addresses))
            }
            Err(reason) => {
                record.denied(reason);
                Err(reason)
            }
        }
    }
}
