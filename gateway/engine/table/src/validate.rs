//! What makes a resource servable, beyond its shape.
//!
//! Owns the rules on each field, and says for each problem which field it is in and what to write in its
//! place. References between resources are the store's; what a certificate holds is asked of [`Checks`].

mod authentication;
mod authorization;
mod egress;
mod external;
mod filter;
mod mesh;
pub(crate) mod name;
mod route;

use std::net::IpAddr;

use crate::model::*;
use name::{Problem, at, bounded, each, hostname, key, nonzero, pattern_hostname, problem};

type Verdict = Result<(), Problem>;

/// Judges what needs a TLS library to be judged, so that this crate needs none. An error says what is wrong
/// and what to do about it.
pub trait Checks {
    /// The chain parses, the private key parses, and they belong together.
    fn certificate(&self, certificate: &Certificate) -> Result<(), String>;
    /// The bundle holds at least one usable certificate authority.
    fn trust_bundle(&self, bundle: &TrustBundle) -> Result<(), String>;
}

/// Accepts every certificate: for tests, and for tables that only decide.
pub struct NoChecks;

impl Checks for NoChecks {
    fn certificate(&self, _: &Certificate) -> Result<(), String> {
        Ok(())
    }

    fn trust_bundle(&self, _: &TrustBundle) -> Result<(), String> {
        Ok(())
    }
}

const MAX_PEM_BYTES: usize = 4 << 20;
const MAX_ENDPOINTS: usize = 65_536;
const MAX_REFERENCES: usize = 256;
const MAX_TRUSTED_HOPS: u32 = 64;
const LAST_DSCP: u8 = 63;
/// Longer than any duration the Gateway API can write (GEP-2257), and far from overflow.
const MAX_MILLISECONDS: u64 = 1_000_000_000_000;

/// A resource that can be judged by itself; the error names the field and the remedy.
pub(crate) trait Judged {
    fn judge(&self, checks: &dyn Checks) -> Result<(), String>;
}

macro_rules! judged {
    ($($resource:ty: $rules:expr;)*) => {$(
        impl Judged for $resource {
            fn judge(&self, checks: &dyn Checks) -> Result<(), String> {
                let rules: fn(&Self, &dyn Checks) -> Verdict = $rules;
                rules(self, checks).map_err(|problem| problem.to_string())
            }
        }
    )*};
}

judged! {
    TrustBundle: trust_bundle;
    Certificate: certificate;
    Endpoints: |it, _| endpoints(it);
    Backend: |it, _| backend(it);
    Gateway: |it, _| gateway(it);
    AuthorizationPolicy: |it, _| authorization::policy(it);
    RequestAuthentication: |it, _| authentication::authentication(it);
    EgressPolicy: |it, _| egress::policy(it);
    Listener: |it, _| listener(it);
    Route: |it, _| route::route(it);
}

fn trust_bundle(bundle: &TrustBundle, checks: &dyn Checks) -> Verdict {
    at("key", key(&bundle.key))?;
    at("certificates", bounded(bundle.certificates.len(), MAX_PEM_BYTES, "bytes"))?;
    at("certificates", checks.trust_bundle(bundle).or_else(problem))
}

fn certificate(certificate: &Certificate, checks: &dyn Checks) -> Verdict {
    at("key", key(&certificate.key))?;
    at("chain", bounded(certificate.chain.len(), MAX_PEM_BYTES, "bytes"))?;
    at("private_key", bounded(certificate.private_key.len(), MAX_PEM_BYTES, "bytes"))?;
    checks.certificate(certificate).or_else(problem)
}

fn endpoints(endpoints: &Endpoints) -> Verdict {
    at("key", key(&endpoints.key))?;
    at("endpoints", bounded(endpoints.endpoints.len(), MAX_ENDPOINTS, "endpoints"))?;
    each("endpoints", &endpoints.endpoints, |endpoint| {
        at("port", nonzero(endpoint.port.into()))?;
        match endpoint.address.parse::<IpAddr>() {
            Ok(_) => Ok(()),
            Err(_) => at("address", hostname(&endpoint.address)),
        }?;
        endpoint.peer.as_ref().map_or(Ok(()), |peer| at("peer", mesh::peer(peer, &endpoint.address)))
    })
}

fn backend(backend: &Backend) -> Verdict {
    at("key", key(&backend.key))?;
    if let Some(failure) = &backend.failure {
        at("failure", route::failure(failure))?;
    }
    if !backend.mesh_server_name.is_empty() {
        at("mesh_server_name", hostname(&backend.mesh_server_name))?;
    }
    if backend.original_destination && backend.tls.is_some() {
        return at("tls", problem("what goes on to its original destination goes as it came; leave it out"));
    }
    if backend.dscp > LAST_DSCP {
        return at("dscp", problem(format!("{} is no code point; write 0 to {LAST_DSCP}", backend.dscp)));
    }
    backend.tls.as_ref().map_or(Ok(()), |tls| at("tls", backend_tls(tls)))
}

fn backend_tls(tls: &BackendTls) -> Verdict {
    at("server_name", hostname(&tls.server_name))?;
    at("trust_bundles", bounded(tls.trust_bundles.len(), MAX_REFERENCES, "trust bundles"))?;
    at("subject_alt_names", bounded(tls.subject_alt_names.len(), MAX_REFERENCES, "names"))?;
    each("subject_alt_names", &tls.subject_alt_names, |name| match name.kind {
        SubjectAltNameType::Hostname => at("value", pattern_hostname(&name.value)),
        SubjectAltNameType::Uri if name.value.contains(':') && name.value.is_ascii() => Ok(()),
        SubjectAltNameType::Uri => {
            at("value", problem(format!("`{}` is not a URI; write one such as `spiffe://domain/path`", name.value)))
        }
    })
}

fn gateway(gateway: &Gateway) -> Verdict {
    at("key", key(&gateway.key))?;
    at("trusted_hops", bounded(gateway.trusted_hops as usize, MAX_TRUSTED_HOPS as usize, "hops"))?;
    if let Some(workload) = &gateway.workload {
        at("workload", mesh::workload(workload))?;
    }
    at("limits", limits(&gateway.limits))
}

/// Zero is "no bound" for a time, and nonsense for a count or a size.
fn limits(limits: &Limits) -> Verdict {
    for (field, value) in [
        ("max_connections", limits.max_connections),
        ("max_connections_per_listener", limits.max_connections_per_listener),
        ("max_request_head_bytes", limits.max_request_head_bytes),
        ("max_request_headers", limits.max_request_headers),
        ("max_concurrent_streams", limits.max_concurrent_streams),
        ("initial_stream_window_bytes", limits.initial_stream_window_bytes),
        ("initial_connection_window_bytes", limits.initial_connection_window_bytes),
        ("max_resets_per_connection", limits.max_resets_per_connection),
        ("replay_buffer_bytes", limits.replay_buffer_bytes),
        ("mirror_buffer_bytes", limits.mirror_buffer_bytes),
    ] {
        at(field, nonzero(value.into()))?;
    }
    for (field, window) in [
        ("initial_stream_window_bytes", limits.initial_stream_window_bytes),
        ("initial_connection_window_bytes", limits.initial_connection_window_bytes),
    ] {
        // RFC 9113, 6.5.2: a larger window is a flow-control error.
        at(field, bounded(window as usize, i32::MAX as usize, "bytes"))?;
    }
    for (field, milliseconds) in [
        ("tls_handshake_timeout_ms", limits.tls_handshake_timeout_ms),
        ("request_head_timeout_ms", limits.request_head_timeout_ms),
        ("stream_idle_timeout_ms", limits.stream_idle_timeout_ms),
        ("connection_idle_timeout_ms", limits.connection_idle_timeout_ms),
        ("connect_timeout_ms", limits.connect_timeout_ms),
        ("drain_timeout_ms", limits.drain_timeout_ms),
    ] {
        at(field, duration(milliseconds))?;
    }
    Ok(())
}

fn duration(milliseconds: u64) -> Verdict {
    if milliseconds <= MAX_MILLISECONDS {
        return Ok(());
    }
    problem(format!("{milliseconds} ms is over the bound of {MAX_MILLISECONDS}; write less, or 0 for none"))
}

fn listener(listener: &Listener) -> Verdict {
    at("key", key(&listener.key))?;
    at("port", nonzero(listener.port.into()))?;
    at("bind_port", nonzero(listener.bind_port.into()))?;
    if !listener.hostname.is_empty() {
        at("hostname", pattern_hostname(&listener.hostname))?;
    }
    at("certificates", bounded(listener.certificates.len(), MAX_REFERENCES, "certificates"))?;
    let sees_none =
        matches!(listener.protocol, ListenerProtocol::Tcp | ListenerProtocol::Udp | ListenerProtocol::Hbone);
    if !listener.hostname.is_empty() && sees_none {
        let text = format!("a {} listener sees no hostname; leave it empty", listener.protocol.as_str());
        return at("hostname", problem(text));
    }
    if listener.tls_mode == TlsMode::Passthrough && listener.protocol != ListenerProtocol::Tls {
        let text = "only a TLS listener passes through; make the protocol TLS or the mode Terminate";
        return at("tls_mode", problem(text));
    }
    match (listener.terminates_tls(), listener.certificates.is_empty()) {
        (true, true) => {
            let text = "a listener that terminates TLS needs at least one certificate; name one";
            return at("certificates", problem(text));
        }
        (false, false) => {
            let text = "a listener that does not terminate TLS would not use them; name none";
            return at("certificates", problem(text));
        }
        _ => {}
    }
    at("authorization", bounded(listener.authorization.len(), MAX_REFERENCES, "policies"))?;
    at("authentication", bounded(listener.authentication.len(), MAX_REFERENCES, "policies"))?;
    if let Some(egress) = &listener.egress {
        at("egress", egress::listener(egress, listener))?;
    }
    if let Some(egress) = &listener.routed_egress {
        at("routed_egress", egress::routed(egress, listener))?;
    }
    mesh::listener(listener)?;
    let validation = listener.client_validation.as_ref();
    validation.map_or(Ok(()), |it| at("client_validation", client_validation(it, listener.terminates_tls())))
}

fn client_validation(validation: &ClientValidation, terminates: bool) -> Verdict {
    if !terminates {
        return problem("a listener that does not terminate TLS sees no client certificate; leave it out");
    }
    if validation.trust_bundles.is_empty() {
        return at("trust_bundles", problem("the list is empty; name at least one trust bundle"));
    }
    at("trust_bundles", bounded(validation.trust_bundles.len(), MAX_REFERENCES, "trust bundles"))
}
