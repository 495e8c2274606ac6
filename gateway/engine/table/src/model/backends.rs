//! Backends and their endpoints.

use serde::{Deserialize, Serialize};

use super::routes::Failure;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum BackendProtocol {
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    H2C,
    #[serde(rename = "WS")]
    WebSocket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SubjectAltNameType {
    Hostname,
    #[serde(rename = "URI")]
    Uri,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectAltName {
    #[serde(rename = "type")]
    pub kind: SubjectAltNameType,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BackendTls {
    pub server_name: String,
    #[serde(default)]
    pub trust_bundles: Vec<String>,
    #[serde(default)]
    pub subject_alt_names: Vec<SubjectAltName>,
    #[serde(default)]
    pub client_certificate: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Destination {
    pub service: String,
    pub service_name: String,
    pub service_namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    pub key: String,
    #[serde(default)]
    pub protocol: BackendProtocol,
    #[serde(default)]
    pub tls: Option<Box<BackendTls>>,
    #[serde(default)]
    pub destination: Destination,
    #[serde(default)]
    pub failure: Option<Box<Failure>>,
    #[serde(default)]
    pub mesh_server_name: String,
    #[serde(default)]
    pub original_destination: bool,
    /// The code point (RFC 2474) in the packets of connections to it.
    #[serde(default)]
    pub dscp: u8,
}

impl Backend {
    /// One of which nothing but this is configured.
    pub fn new(key: impl Into<String>, protocol: BackendProtocol, tls: Option<BackendTls>) -> Self {
        Self {
            key: key.into(),
            protocol,
            tls: tls.map(Box::new),
            destination: Destination::default(),
            failure: None,
            mesh_server_name: String::new(),
            original_destination: false,
            dscp: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub enum PeerTunnel {
    #[default]
    #[serde(rename = "")]
    None,
    #[serde(rename = "HBONE")]
    Hbone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    pub identity: String,
    #[serde(default)]
    pub tunnel: PeerTunnel,
    #[serde(default)]
    pub tunnel_address: String,
    #[serde(default)]
    pub workload: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub address: String,
    pub port: u16,
    #[serde(default)]
    pub peer: Option<Box<Peer>>,
}

impl Endpoint {
    /// One outside the mesh.
    pub fn new(address: impl Into<String>, port: u16) -> Self {
        Self { address: address.into(), port, peer: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    pub key: String,
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}
