//! Connections to backends: which endpoint a request goes to, and over which connection.
//!
//! Owns balancing, pools, name resolution and dialling, all per worker and keyed by backend, never
//! by route: two routes to one Service share its connections and its health. It knows nothing of
//! matching, filters, retries or timeouts of a request; the proxy decides those and calls in here.

#![forbid(unsafe_code)]

mod backend;
mod balance;
mod destination;
mod dial;
mod dns;
mod endpoint;
mod error;
mod http2_pool;
mod raw;
mod spec;
mod tunnel;
mod upstreams;

pub use backend::{Backend, BackendCounters, Connection, Lease, Want};
pub use dns::Resolve;
pub use endpoint::{EndpointHandle, EndpointState, LeaseGuard};
pub use error::OpenError;
pub use spec::{BackendSpec, BackendSpecs, EndpointSpec, PeerSpec, Target, TransportSpec};
pub use upstreams::{UpstreamOptions, Upstreams};
