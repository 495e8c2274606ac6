//! Egress policies.

use serde::{Deserialize, Serialize};

/// No `Debug` derive: the digest must not reach a log by accident.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressCredential {
    pub user: String,
    pub sha256: String,
}

impl std::fmt::Debug for EgressCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EgressCredential").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressSource {
    pub principals: Vec<String>,
    pub namespaces: Vec<String>,
    pub service_accounts: Vec<String>,
    pub subject_alt_names: Vec<String>,
    pub credentials: Vec<EgressCredential>,
    pub ip_blocks: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum EgressProtocol {
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "TCP")]
    Tcp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressDestination {
    pub names: Vec<String>,
    pub ip_blocks: Vec<String>,
    pub ports: Vec<u16>,
    pub protocols: Vec<EgressProtocol>,
    pub methods: Vec<String>,
    pub path_prefixes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressLimits {
    pub connections: u32,
    pub bytes: u64,
    pub duration_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum EgressAction {
    #[default]
    Allow,
    Deny,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressRule {
    pub name: String,
    #[serde(default)]
    pub action: EgressAction,
    #[serde(default)]
    pub sources: Vec<EgressSource>,
    pub destinations: Vec<EgressDestination>,
    #[serde(default)]
    pub address_blocks: Vec<String>,
    #[serde(default)]
    pub encrypted_client_hello: bool,
    #[serde(default)]
    pub limits: EgressLimits,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum EgressMode {
    #[default]
    Enforce,
    Report,
}

impl EgressMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::Report => "Report",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressPolicy {
    pub key: String,
    #[serde(default)]
    pub mode: EgressMode,
    #[serde(default)]
    pub rules: Vec<EgressRule>,
    #[serde(default)]
    pub confined_to: String,
    #[serde(default)]
    pub contact: String,
    #[serde(default)]
    pub refusal: String,
}
