//! What each backend is, compiled once from the table and shared by all workers.
//!
//! A spec that an update did not touch is the same `Arc` afterwards: workers compare pointers, and
//! TLS configurations with their session caches survive every change that is not theirs.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sekisho_persistent::{Arena, Keyed, Slots};
use sekisho_table::{
    Backend, BackendTls, Certificate, Destination, Endpoints, Peer, PeerTunnel, Table, Touched, TrustBundle,
};
use sekisho_tls::ClientTls;

/// Every backend of one table. A compiled route refers to one by position, which a backend keeps while the table has it.
#[derive(Debug, Default)]
pub struct BackendSpecs {
    specs: Arena<BackendSpec>,
}

#[derive(Debug)]
pub struct BackendSpec {
    pub backend: Arc<Backend>,
    pub endpoints: Vec<EndpointSpec>,
    pub transport: TransportSpec,
    endpoints_source: Option<Arc<Endpoints>>,
    tls_source: TlsSource,
}

#[derive(Clone, Debug)]
pub enum TransportSpec {
    Plain,
    Tls(Arc<ClientTls>),
    /// The TLS settings cannot be used; every attempt to connect fails with this reason.
    Unusable(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    pub target: Target,
    /// Where it is in the mesh.
    pub peer: Option<Arc<PeerSpec>>,
}

/// An endpoint of the mesh: who it must prove to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerSpec {
    /// Without `spiffe://`.
    pub identity: String,
    /// What takes the tunnel that leads to the endpoint, where there is one.
    pub tunnel: Option<SocketAddr>,
    /// `namespace/name`, or empty.
    pub workload: String,
}

/// Where a workload takes tunnels (HBONE) unless it says otherwise.
const TUNNEL_PORT: u16 = 15008;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Address(SocketAddr),
    Name { host: Arc<str>, port: u16 },
}

impl Target {
    /// `address:port`, as logs show it.
    pub fn label(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Name { host, port } => format!("{host}:{port}"),
        }
    }
}

/// What a TLS configuration was made from, to tell whether it is still right.
#[derive(Debug, Default)]
struct TlsSource {
    bundles: Vec<Option<Arc<TrustBundle>>>,
    certificate: Option<Arc<Certificate>>,
}

impl BackendSpecs {
    /// The specs for `table`, which differs from the table of `previous` in what is `touched`.
    pub fn build(table: &Table, previous: &Arc<Self>, touched: &Touched) -> Arc<Self> {
        let mut keys: BTreeSet<&str> = touched.backends.iter().chain(&touched.endpoints).map(String::as_str).collect();
        if !touched.trust_bundles.is_empty() || !touched.certificates.is_empty() {
            let verified = previous.iter().filter(|spec| spec.backend.tls.is_some());
            keys.extend(verified.map(|spec| spec.key()));
        }
        if keys.is_empty() {
            return previous.clone();
        }
        let mut specs = previous.specs.clone();
        // Removed before anything is added: their positions are used again at once.
        for key in keys.iter().filter(|key| !table.backends.contains_key(**key)) {
            specs.remove(key);
        }
        for backend in keys.iter().filter_map(|key| table.backends.get(*key)) {
            let known = previous.specs.get(&backend.key);
            let spec = BackendSpec::build(backend, table, known);
            if known.is_none_or(|known| !Arc::ptr_eq(known, &spec)) {
                specs.insert(spec);
            }
        }
        Arc::new(Self { specs })
    }

    pub fn index(&self, key: &str) -> Option<u32> {
        self.specs.position(key)
    }

    /// `index` is of a backend that the table has.
    pub fn get(&self, index: u32) -> &Arc<BackendSpec> {
        &self.specs.slots()[index as usize]
    }

    /// By position.
    pub fn slots(&self) -> &Slots<Arc<BackendSpec>> {
        self.specs.slots()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<BackendSpec>> {
        self.specs.slots().values()
    }

    pub fn len(&self) -> usize {
        self.specs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }
}

impl Keyed for BackendSpec {
    fn key(&self) -> &str {
        &self.backend.key
    }
}

impl BackendSpec {
    pub fn key(&self) -> &str {
        &self.backend.key
    }

    /// An endpoint that is a name: a host outside.
    pub fn outside(&self) -> Option<(&str, u16)> {
        self.endpoints.iter().find_map(|endpoint| match &endpoint.target {
            Target::Name { host, port } => Some((&**host, *port)),
            Target::Address(_) => None,
        })
    }

    /// Names that telemetry reports.
    pub fn destination(&self) -> &Destination {
        &self.backend.destination
    }

    fn build(backend: &Arc<Backend>, table: &Table, previous: Option<&Arc<Self>>) -> Arc<Self> {
        let endpoints_source = table.endpoints.get(&backend.key);
        let tls_source = backend.tls.as_ref().map(|tls| TlsSource::collect(tls, table)).unwrap_or_default();
        let same_tls = previous.filter(|spec| spec.backend.tls == backend.tls && spec.tls_source.same(&tls_source));
        let same_endpoints = previous.filter(|spec| same(spec.endpoints_source.as_ref(), endpoints_source));
        if let (Some(spec), Some(_)) = (same_tls, same_endpoints)
            && same(Some(&spec.backend), Some(backend))
        {
            return spec.clone();
        }
        let transport = match same_tls {
            Some(spec) => spec.transport.clone(),
            None => TransportSpec::build(backend, table),
        };
        let endpoints = match same_endpoints {
            Some(spec) => spec.endpoints.clone(),
            None => endpoint_specs(endpoints_source),
        };
        let (backend, endpoints_source) = (backend.clone(), endpoints_source.cloned());
        Arc::new(Self { backend, endpoints, transport, endpoints_source, tls_source })
    }

    /// Whether connections made for `other` may carry requests of this spec.
    pub(crate) fn shares_connections_with(&self, other: &Self) -> bool {
        match (&self.transport, &other.transport) {
            (TransportSpec::Plain, TransportSpec::Plain) => true,
            (TransportSpec::Tls(mine), TransportSpec::Tls(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        }
    }
}

impl TransportSpec {
    fn build(backend: &Backend, table: &Table) -> Self {
        let Some(tls) = &backend.tls else { return Self::Plain };
        match ClientTls::build(tls, table) {
            Ok(tls) => Self::Tls(Arc::new(tls)),
            Err(reason) => Self::Unusable(format!("TLS of backend {}: {reason}", backend.key).into()),
        }
    }
}

impl TlsSource {
    fn collect(tls: &BackendTls, table: &Table) -> Self {
        Self {
            bundles: tls.trust_bundles.iter().map(|key| table.trust_bundles.get(key).cloned()).collect(),
            certificate: table.certificates.get(&tls.client_certificate).cloned(),
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.bundles.len() == other.bundles.len()
            && self.bundles.iter().zip(&other.bundles).all(|(mine, theirs)| same(mine.as_ref(), theirs.as_ref()))
            && same(self.certificate.as_ref(), other.certificate.as_ref())
    }
}

/// Equal, asking the pointers first: most of a table is shared with the one before it.
fn same<T: PartialEq>(left: Option<&Arc<T>>, right: Option<&Arc<T>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left == right,
        (None, None) => true,
        _ => false,
    }
}

fn endpoint_specs(source: Option<&Arc<Endpoints>>) -> Vec<EndpointSpec> {
    let mut seen = std::collections::HashSet::new();
    let endpoints = source.map_or(&[][..], |source| &source.endpoints);
    let mut specs: Vec<_> = endpoints.iter().filter(|endpoint| seen.insert(*endpoint)).map(EndpointSpec::new).collect();
    // Thousands of backends have one endpoint: no room for more.
    specs.shrink_to_fit();
    specs
}

impl EndpointSpec {
    fn new(endpoint: &sekisho_table::Endpoint) -> Self {
        let port = endpoint.port;
        match endpoint.address.parse::<IpAddr>() {
            Ok(address) => {
                let peer = endpoint.peer.as_ref().map(|peer| Arc::new(PeerSpec::new(peer, Some(address))));
                Self { peer, ..Self::of_address(SocketAddr::new(address, port)) }
            }
            Err(_) => {
                let host: Arc<str> = endpoint.address.to_ascii_lowercase().into();
                let peer = endpoint.peer.as_ref().map(|peer| Arc::new(PeerSpec::new(peer, None)));
                Self { target: Target::Name { host, port }, peer }
            }
        }
    }

    /// One outside the mesh.
    pub(crate) fn of_address(address: SocketAddr) -> Self {
        Self { target: Target::Address(address), peer: None }
    }
}

impl PeerSpec {
    fn new(peer: &Peer, address: Option<IpAddr>) -> Self {
        let tunnel = match peer.tunnel {
            PeerTunnel::None => None,
            // Validation has seen to it that one of the two is there.
            PeerTunnel::Hbone => {
                peer.tunnel_address.parse().ok().or(address.map(|address| SocketAddr::new(address, TUNNEL_PORT)))
            }
        };
        Self { identity: peer.identity.clone(), tunnel, workload: peer.workload.clone() }
    }
}
