//! Listeners.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ListenerProtocol {
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "HTTPS")]
    Https,
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "HBONE")]
    Hbone,
}

impl ListenerProtocol {
    /// Requests rather than connections.
    pub fn takes_requests(self) -> bool {
        match self {
            Self::Http | Self::Https => true,
            Self::Tls | Self::Tcp | Self::Udp | Self::Hbone => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Hbone => "HBONE",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum TlsMode {
    #[default]
    Terminate,
    Passthrough,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientValidation {
    pub trust_bundles: Vec<String>,
    #[serde(default)]
    pub allow_insecure_fallback: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub key: String,
    pub gateway: String,
    pub address: IpAddr,
    pub port: u16,
    pub bind_port: u16,
    pub protocol: ListenerProtocol,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub certificates: Vec<String>,
    #[serde(default)]
    pub tls_mode: TlsMode,
    #[serde(default)]
    pub client_validation: Option<ClientValidation>,
    #[serde(default)]
    pub authorization: Vec<String>,
    #[serde(default)]
    pub authentication: Vec<String>,
    #[serde(default)]
    pub egress: Option<Egress>,
    #[serde(default)]
    pub routed_egress: Option<RoutedEgress>,
    #[serde(default)]
    pub captured: Option<Captured>,
    #[serde(default)]
    pub mesh: Option<MeshServer>,
    #[serde(default)]
    pub inner: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Captured {
    pub addresses: Vec<IpAddr>,
    pub any_port: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MeshMode {
    Strict,
    #[default]
    Permissive,
    Disable,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeshServer {
    pub mode: MeshMode,
}

impl Listener {
    /// Egress policies decide about what goes out here.
    pub fn leads_out(&self) -> bool {
        self.egress.is_some() || self.routed_egress.is_some()
    }

    /// The gateway ends the client's TLS here, with a certificate of its own.
    pub fn terminates_tls(&self) -> bool {
        match self.protocol {
            ListenerProtocol::Https => true,
            ListenerProtocol::Tls => self.tls_mode == TlsMode::Terminate,
            ListenerProtocol::Http | ListenerProtocol::Tcp | ListenerProtocol::Udp | ListenerProtocol::Hbone => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum EgressWay {
    Proxy,
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "HTTP")]
    Http,
}

impl EgressWay {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "Proxy",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    pub way: EgressWay,
    #[serde(default)]
    pub policies: Vec<String>,
    #[serde(default)]
    pub nameservers: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RoutedEgress {
    #[serde(default)]
    pub policies: Vec<String>,
    #[serde(default)]
    pub nameservers: Vec<String>,
}
