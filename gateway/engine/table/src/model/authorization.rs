//! Authorization policies, and who is asked.

use serde::{Deserialize, Serialize};

use super::defaults::{five_seconds, forbidden};
use super::filters::Header;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthorizationAction {
    #[default]
    Allow,
    Deny,
    Audit,
    Custom,
}

impl AuthorizationAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
            Self::Custom => "CUSTOM",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationSource {
    pub principals: Vec<String>,
    pub not_principals: Vec<String>,
    pub request_principals: Vec<String>,
    pub not_request_principals: Vec<String>,
    pub namespaces: Vec<String>,
    pub not_namespaces: Vec<String>,
    pub service_accounts: Vec<String>,
    pub not_service_accounts: Vec<String>,
    pub ip_blocks: Vec<String>,
    pub not_ip_blocks: Vec<String>,
    pub remote_ip_blocks: Vec<String>,
    pub not_remote_ip_blocks: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationOperation {
    pub hosts: Vec<String>,
    pub not_hosts: Vec<String>,
    pub ports: Vec<u16>,
    pub not_ports: Vec<u16>,
    pub methods: Vec<String>,
    pub not_methods: Vec<String>,
    pub paths: Vec<String>,
    pub not_paths: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationCondition {
    pub key: String,
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(default)]
    pub not_values: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationRule {
    pub sources: Vec<AuthorizationSource>,
    pub operations: Vec<AuthorizationOperation>,
    pub conditions: Vec<AuthorizationCondition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAuthorization {
    pub backend: String,
    #[serde(default)]
    pub path_prefix: String,
    #[serde(default = "five_seconds")]
    pub timeout_ms: u64,
    #[serde(default)]
    pub request_headers: Vec<String>,
    #[serde(default)]
    pub additional_headers: Vec<Header>,
    #[serde(default)]
    pub upstream_headers: Vec<String>,
    #[serde(default)]
    pub downstream_headers_on_allow: Vec<String>,
    #[serde(default)]
    pub downstream_headers_on_deny: Vec<String>,
    #[serde(default = "forbidden")]
    pub status_on_error: u16,
    #[serde(default)]
    pub fail_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationPolicy {
    pub key: String,
    #[serde(default)]
    pub action: AuthorizationAction,
    #[serde(default)]
    pub rules: Vec<AuthorizationRule>,
    #[serde(default)]
    pub dry_run: bool,
    #[serde(default)]
    pub refusal: String,
    #[serde(default)]
    pub provider: Option<ExternalAuthorization>,
}
