//! From what was asked for to an open connection: decide, resolve once, vet every address, dial one of those.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use sekisho_egress::{Caller, Denial, Destination, Grant, Host, Load, Protocol, Request, Verdict};
use tokio::net::TcpStream;

use super::compiled::Egress;
use super::gate::Gate;
use super::record::Record;
use super::resolve::Failed;
use crate::reason::Reason;

/// Addresses tried before a destination counts as out of reach.
const MAX_ATTEMPTS: usize = 4;

/// What is going to be spoken.
#[derive(Clone, Debug)]
pub enum Spoken {
    Tunnel,
    Tls,
    Http { method: Method, path: Box<str> },
}

/// What a client asked for, kept so that it can be decided again.
pub struct Asked {
    pub caller: Caller,
    pub host: Host,
    pub port: u16,
    pub spoken: Spoken,
}

impl Asked {
    pub fn request(&self) -> Request<'_> {
        Request {
            caller: &self.caller,
            destination: Destination { host: &self.host, port: self.port },
            protocol: match &self.spoken {
                Spoken::Tunnel => Protocol::Tunnel,
                Spoken::Tls => Protocol::Tls,
                Spoken::Http { method, path } => Protocol::Http { method: method.as_str(), path },
            },
        }
    }
}

/// What a connection out rests on.
pub struct Permit {
    pub grant: Grant,
    pub address: IpAddr,
    /// The configuration that said so.
    pub egress: Arc<Egress>,
    _load: Option<Load>,
}

/// Asks the policies alone. An error is why it is denied; `contact` goes to the client.
pub struct Refused {
    pub reason: Reason,
    pub contact: Box<str>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, contact: Box::default() }
    }
}

/// Decides, and finds the addresses that may be dialled. `known`: one that a connection is open to already. Policies that
/// change while a name is looked up decide anew.
pub async fn permit(
    gate: &Gate,
    asked: &Asked,
    known: Option<IpAddr>,
    record: &mut Record,
) -> Result<(Permit, Vec<IpAddr>), Refused> {
    loop {
        let egress = gate.egress();
        let permitted = permit_by(gate, &egress, asked, known, record).await;
        if Arc::ptr_eq(&egress, &gate.egress()) {
            return permitted;
        }
    }
}

async fn permit_by(
    gate: &Gate,
    egress: &Arc<Egress>,
    asked: &Asked,
    known: Option<IpAddr>,
    record: &mut Record,
) -> Result<(Permit, Vec<IpAddr>), Refused> {
    let outlet = gate.outlet(egress).ok_or(Reason::EgressPolicyUnavailable)?;
    let request = asked.request();
    let decision = outlet.policies.decide(&request);
    record.follows(&decision);
    if let Verdict::Deny(denial) = decision.verdict {
        let may_show = gate.is_forward_proxy() && outlet.policies.wants_credentials();
        let reason = reason_of(denial, may_show && asked.caller.credential.is_none());
        return Err(Refused { reason, contact: decision.contact().into() });
    }
    let addresses = match (&asked.host, known) {
        (_, Some(address)) => vec![address],
        (Host::Address(address), None) => vec![*address],
        (Host::Name(name), None) => {
            let began = Instant::now();
            let bound = Duration::from_millis(gate.connect_timeout_ms);
            let found = gate.worker.egress.lookup(name, &outlet.nameservers, bound).await;
            record.resolution = Some(began.elapsed());
            found
                .map_err(|failed| match failed {
                    Failed::Unresolved => Reason::EgressNameUnresolved,
                    Failed::Untrusted => Reason::EgressResolverUntrusted,
                })?
                .to_vec()
        }
    };
    record.resolved.clone_from(&addresses);
    let grant = outlet.policies.vet(&request, &decision, &addresses, &egress.own);
    let grant = grant.map_err(|_| Reason::EgressAddressProhibited)?;
    let load = match &grant.rule {
        Some(rule) => {
            if !decision.would_deny {
                record.rests_on(rule.policy(), rule.name());
            }
            Some(rule.admit().ok_or(Reason::EgressLimit)?)
        }
        None => None,
    };
    let address = addresses.first().copied().ok_or(Reason::EgressNameUnresolved)?;
    Ok((Permit { grant, address, egress: egress.clone(), _load: load }, addresses))
}

/// How a denial is told. `wants_credentials`: the client could show some and did not.
pub fn reason_of(denial: Denial, wants_credentials: bool) -> Reason {
    match denial {
        Denial::NothingAllows if wants_credentials => Reason::EgressCredentialsRequired,
        Denial::Rule | Denial::NothingAllows => Reason::EgressDenied,
        Denial::PolicyMissing | Denial::PolicyRefused => Reason::EgressPolicyUnavailable,
    }
}

/// Permits, and connects to one of the addresses that were vetted.
pub async fn open(gate: &Gate, asked: &Asked, record: &mut Record) -> Result<(Permit, TcpStream), Refused> {
    let (mut permit, addresses) = permit(gate, asked, None, record).await?;
    let (stream, address) =
        dial(&addresses, asked.port, gate.connect_timeout_ms).await.ok_or(Reason::UpstreamConnectFailed)?;
    permit.address = address;
    // Before the client is told yes. Whether what follows must be TLS is for the grant that holds now to say.
    permit.renew(gate, asked, true)?;
    record.dialled = Some(SocketAddr::new(address, asked.port));
    Ok((permit, stream))
}

async fn dial(addresses: &[IpAddr], port: u16, bound_ms: u64) -> Option<(TcpStream, IpAddr)> {
    let tried = addresses.iter().take(MAX_ATTEMPTS);
    let share = Duration::from_millis(if bound_ms == 0 { 30_000 } else { bound_ms }) / tried.len().max(1) as u32;
    for address in tried {
        let attempt = tokio::time::timeout(share, TcpStream::connect(SocketAddr::new(*address, port)));
        if let Ok(Ok(stream)) = attempt.await {
            // Only a socket that is already gone refuses this, and the first write will say so.
            stream.set_nodelay(true).ok();
            return Some((stream, *address));
        }
    }
    None
}

impl Permit {
    /// Decides again where the policies have changed. `verified`: the name in the `ClientHello` agreed. An error says
    /// that what was allowed no longer is.
    pub fn renew(&mut self, gate: &Gate, asked: &Asked, verified: bool) -> Result<(), Reason> {
        let egress = gate.egress();
        if Arc::ptr_eq(&egress, &self.egress) {
            return Ok(());
        }
        let outlet = gate.outlet(&egress).ok_or(Reason::EgressRevoked)?;
        let request = asked.request();
        let decision = outlet.policies.decide(&request);
        if decision.verdict != Verdict::Allow {
            return Err(Reason::EgressRevoked);
        }
        let grant = outlet.policies.vet(&request, &decision, &[self.address], &egress.own);
        let grant = grant.map_err(|_| Reason::EgressRevoked)?;
        if !grant.opaque && !verified {
            return Err(Reason::EgressRevoked);
        }
        (self.grant, self.egress) = (grant, egress);
        Ok(())
    }
}
