//! One destination of a rule with everything that a decision asks of it, in one place in memory: names and addresses
//! are in the indexes, and what only matters to what follows a decision is with the rule.

use std::sync::Arc;

use sekisho_table::{EgressAction, EgressDestination, EgressMode, EgressProtocol};

use crate::caller::{Source, unmet_source};
use crate::decide::{Protocol, Request};
use crate::paths;
use crate::policy::{Policy, Rule};

/// The position of a destination among all of a set: by policy, rule, and destination of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub u32);

/// Begins where a cache line does, and is no longer than one.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Target {
    /// Positions: of the policy in the set, and of the rule in the policy.
    pub policy: u32,
    pub rule: u32,
    pub action: EgressAction,
    pub mode: EgressMode,
    /// Whether the policy is of one namespace's principals alone.
    is_confined: bool,
    protocols: Protocols,
    ports: Ports,
    sources: Arc<[Source]>,
    requests: Option<Box<Requests>>,
}

const _: () = assert!(size_of::<Target>() == 64);

/// Bits; none stands for every protocol.
#[derive(Clone, Copy, Debug)]
struct Protocols(u8);

impl Protocols {
    const HTTP: Self = Self(1);
    const TLS: Self = Self(2);
    const TCP: Self = Self(4);

    fn new(protocols: &[EgressProtocol]) -> Self {
        let bit = |protocol: &EgressProtocol| match protocol {
            EgressProtocol::Http => Self::HTTP,
            EgressProtocol::Tls => Self::TLS,
            EgressProtocol::Tcp => Self::TCP,
        };
        Self(protocols.iter().fold(0, |bits, protocol| bits | bit(protocol).0))
    }

    fn has(self, protocol: Self) -> bool {
        self.0 & protocol.0 != 0
    }

    fn fit(self, protocol: &Protocol<'_>) -> bool {
        match protocol {
            _ if self.0 == 0 => true,
            Protocol::Tunnel | Protocol::Tls => self.has(Self::TLS) || self.has(Self::TCP),
            Protocol::Http { .. } => self.has(Self::HTTP),
        }
    }
}

#[derive(Debug)]
enum Ports {
    /// Those that go without saying.
    Usual,
    /// 0 where there is none.
    Few([u16; 4]),
    Many(Box<[u16]>),
}

impl Ports {
    fn new(ports: &[u16]) -> Self {
        let mut few = [0; 4];
        match ports {
            [] => Self::Usual,
            ports if ports.len() <= few.len() && !ports.contains(&0) => {
                few[..ports.len()].copy_from_slice(ports);
                Self::Few(few)
            }
            ports => Self::Many(ports.into()),
        }
    }
}

/// What is asked of requests, where they are seen. Empty stands for all.
#[derive(Debug)]
struct Requests {
    methods: Box<[Box<str>]>,
    path_prefixes: Box<[Box<str>]>,
}

impl Requests {
    fn new(destination: &EgressDestination) -> Option<Box<Self>> {
        let texts = |values: &[String]| values.iter().map(|value| value.as_str().into()).collect();
        let (methods, path_prefixes) = (&destination.methods, &destination.path_prefixes);
        let asks = !methods.is_empty() || !path_prefixes.is_empty();
        asks.then(|| Box::new(Self { methods: texts(methods), path_prefixes: texts(path_prefixes) }))
    }

    fn unmet(&self, action: EgressAction, method: &str, path: &str) -> Option<&'static str> {
        if !self.methods.is_empty() && !self.methods.iter().any(|known| **known == *method) {
            return Some("methods");
        }
        let covers = if action == EgressAction::Deny { paths::may_be_below } else { paths::is_below };
        let covered = self.path_prefixes.is_empty() || self.path_prefixes.iter().any(|prefix| covers(path, prefix));
        (!covered).then_some("path_prefixes")
    }
}

impl Target {
    /// `at`: positions of the policy and of the rule.
    pub(crate) fn new(at: (u32, u32), policy: &Policy, rule: &Rule, written: &EgressDestination) -> Self {
        Self {
            policy: at.0,
            rule: at.1,
            action: rule.action,
            mode: policy.mode,
            is_confined: policy.is_confined(),
            protocols: Protocols::new(&written.protocols),
            ports: Ports::new(&written.ports),
            sources: rule.sources.clone(),
            requests: Requests::new(written),
        }
    }

    /// A tunnel by it need not be TLS with a server name that agrees.
    pub(crate) fn is_opaque(&self) -> bool {
        self.protocols.has(Protocols::TCP)
    }

    /// What does not hold, apart from the host. What is left out of a Deny rule stands for everything. `policies`: those
    /// of the set.
    pub(crate) fn unmet(&self, policies: &[Arc<Policy>], request: &Request<'_>) -> Option<&'static str> {
        if self.is_confined && !policies[self.policy as usize].concerns(request.caller) {
            return Some("namespace of the policy");
        }
        if let Some(field) = unmet_source(&self.sources, request.caller) {
            return Some(field);
        }
        let denies = self.action == EgressAction::Deny;
        let port = request.destination.port;
        let has_port = match &self.ports {
            Ports::Usual => denies || port == 443 || (port == 80 && matches!(request.protocol, Protocol::Http { .. })),
            Ports::Few(ports) => port != 0 && ports.contains(&port),
            Ports::Many(ports) => ports.contains(&port),
        };
        if !has_port {
            return Some("ports");
        }
        if !self.protocols.fit(&request.protocol) {
            return Some("protocols");
        }
        let requests = self.requests.as_deref()?;
        match request.protocol {
            Protocol::Http { method, path } => requests.unmet(self.action, method, path),
            // Requests are not seen: who is to allow some of them allows none, and who is to forbid some forbids all.
            Protocol::Tunnel | Protocol::Tls if denies => None,
            Protocol::Tunnel | Protocol::Tls if !requests.methods.is_empty() => Some("methods"),
            Protocol::Tunnel | Protocol::Tls => Some("path_prefixes"),
        }
    }
}
