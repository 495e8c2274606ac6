//! Which clients a listener takes (Gateway API, `FrontendTLSValidation`).

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{DistinguishedName, Error};
use sekisho_table::{ClientValidation, Table};

use crate::authorities::Authorities;
use crate::peer_check::{Checked, ClientCheck, Presented};
use crate::provider;

pub(crate) fn verifier(validation: &ClientValidation, table: &Table) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let strict = strict(validation, table)?;
    Ok(if validation.allow_insecure_fallback { Arc::new(Checked(Lenient)) } else { strict })
}

/// Takes certificates of the authorities alone, whatever else may be let in.
pub(crate) fn strict(validation: &ClientValidation, table: &Table) -> Result<Arc<dyn ClientCertVerifier>, String> {
    if validation.trust_bundles.is_empty() {
        return Err("client validation names no trust bundle".to_owned());
    }
    let authorities = Authorities::load(&validation.trust_bundles, table)?;
    WebPkiClientVerifier::builder_with_provider(authorities.roots, provider().clone())
        .build()
        .map_err(|error| format!("client validation cannot be configured: {error}"))
}

/// Asks for a certificate and serves whoever comes. A client still proves that it holds the key of the
/// certificate it shows, but nothing may be concluded from what that certificate says.
#[derive(Debug)]
struct Lenient;

impl ClientCheck for Lenient {
    fn check(&self, _presented: Presented<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn mandatory(&self) -> bool {
        false
    }

    fn hints(&self) -> &[DistinguishedName] {
        // With them, a client would keep a certificate of another authority to itself.
        &[]
    }
}
