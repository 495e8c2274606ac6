//! Certificates and trust bundles.

use serde::{Deserialize, Serialize};

/// No `Debug` derive: the private key must not reach a log by accident.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub key: String,
    pub chain: String,
    pub private_key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("key", &self.key).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrustBundle {
    pub key: String,
    pub certificates: String,
}
