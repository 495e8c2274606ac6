//! The downstream side: server name to listener, listener to certificate, handshake.
//!
//! The `ClientHello` is read before a configuration is chosen, so that a name nobody serves is
//! refused with `unrecognized_name` (RFC 6066, section 3) instead of with another host's certificate. A socket
//! that has TLS listeners alone closes without an alert: what it carries may not be its own to speak for.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};
use rustls_pki_types::UnixTime;
use sekisho_table::{Listener, ListenerProtocol, Table, TlsMode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use webpki::EndEntityCert;

use crate::error::{TlsError, TlsErrorKind};
use crate::identity::PeerIdentity;
use crate::server_name::{ListenerNames, certificate_name_covers, normalize};
use crate::transport::Transport;
use crate::{client_verifier, hello, pem, provider};

/// TLS of one bound socket. Immutable; a change of listeners or certificates makes a new one.
pub struct ServerTls {
    names: ListenerNames,
    /// By listener.
    services: Vec<Service>,
    problems: Vec<(String, String)>,
    refusal: Refusal,
}

/// How a name that nobody serves is refused.
#[derive(Clone, Copy)]
enum Refusal {
    Alert,
    Close,
}

/// What becomes of a connection for one of a listener's names.
enum Service {
    Terminate(Arc<ServerConfig>, Option<Verified>),
    Passthrough,
    /// No certificate is usable: the names are refused, never served by another listener.
    Refuse,
}

/// What is known of the certificate that a client showed.
enum Verified {
    /// There is no handshake with another one.
    Already,
    /// The handshake takes any.
    By(Arc<dyn ClientCertVerifier>),
}

impl Verified {
    fn identity(&self, transport: &Transport) -> Option<PeerIdentity> {
        let Transport::Server(stream) = transport else { return None };
        let chain = stream.get_ref().1.peer_certificates()?;
        if let Self::By(verifier) = self {
            let (leaf, intermediates) = chain.split_first()?;
            verifier.verify_client_cert(leaf, intermediates, UnixTime::now()).ok()?;
        }
        PeerIdentity::from_chain(Some(chain))
    }
}

/// A finished handshake, or the beginning of one that is the backend's to finish.
pub struct Accepted {
    /// Position of the listener among those that the socket was built from.
    pub listener: usize,
    /// What was read of a connection that passes through; its transport is plain. Empty otherwise.
    pub unread: BytesMut,
    pub transport: Transport,
    /// In lower case, without a trailing dot.
    pub sni: Option<String>,
    pub alpn_h2: bool,
    /// Of a certificate that the client showed and that was verified. One that was only taken is nobody's.
    pub peer: Option<PeerIdentity>,
}

impl ServerTls {
    /// Fails only when no listener has a usable certificate.
    pub fn build(listeners: &[&Listener], table: &Table) -> Result<Self, String> {
        let mut names = ListenerNames::default();
        let mut services = Vec::with_capacity(listeners.len());
        let mut problems = Vec::new();
        for (index, listener) in listeners.iter().enumerate() {
            names.add(&listener.hostname, index);
            services.push(service(listener, table, &mut problems)?);
        }
        if services.iter().all(|service| matches!(service, Service::Refuse)) {
            let reasons: Vec<_> = problems.iter().map(|(key, reason)| format!("{key}: {reason}")).collect();
            return Err(format!("no listener has a usable certificate: {}", reasons.join("; ")));
        }
        let carries = listeners.iter().all(|listener| listener.protocol == ListenerProtocol::Tls);
        let refusal = if carries { Refusal::Close } else { Refusal::Alert };
        Ok(Self { names, services, problems, refusal })
    }

    /// Listener keys with what is wrong with one of their certificates.
    pub fn problems(&self) -> &[(String, String)] {
        &self.problems
    }

    /// Runs the handshake. The caller bounds its time.
    pub async fn accept(&self, stream: TcpStream) -> Result<Accepted, TlsError> {
        let hello = hello::read(stream).await?;
        let sni = hello.accepted.client_hello().server_name().map(normalize);
        let Some(listener) = self.names.find(sni.as_deref()) else {
            return Err(self.refusal.refuse(hello.stream, sni.as_deref()).await);
        };
        let mut peer = None;
        let (transport, unread) = match &self.services[listener] {
            Service::Terminate(config, verified) => {
                let start = StartHandshake::from_parts(hello.accepted, hello.stream);
                let stream = start.into_stream(config.clone()).await;
                let stream = stream.map_err(|error| TlsError::from_io(&error, "the client"))?;
                let transport = Transport::Server(Box::new(stream));
                peer = verified.as_ref().and_then(|verified| verified.identity(&transport));
                (transport, BytesMut::new())
            }
            Service::Passthrough => (Transport::Tcp(hello.stream), hello.bytes),
            Service::Refuse => return Err(self.refusal.refuse(hello.stream, sni.as_deref()).await),
        };
        let alpn_h2 = match &transport {
            Transport::Server(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            Transport::Tcp(_) | Transport::Client(_) | Transport::Carried(_) => false,
        };
        Ok(Accepted { listener, unread, transport, sni, alpn_h2, peer })
    }
}

fn service(listener: &Listener, table: &Table, problems: &mut Problems) -> Result<Service, String> {
    if listener.protocol == ListenerProtocol::Tls && listener.tls_mode == TlsMode::Passthrough {
        return Ok(Service::Passthrough);
    }
    let (candidates, mut reasons) = listener_certificates(listener, table);
    problems.append(&mut reasons);
    if candidates.is_empty() {
        return Ok(Service::Refuse);
    }
    match server_config(listener, candidates, table)? {
        Ok(config) => Ok(Service::Terminate(config, verified(listener, table))),
        Err(reason) => {
            problems.push((listener.key.clone(), reason));
            Ok(Service::Refuse)
        }
    }
}

/// `None` where no certificate is asked for, or nothing can be told of it.
fn verified(listener: &Listener, table: &Table) -> Option<Verified> {
    let validation = listener.client_validation.as_ref()?;
    if !validation.allow_insecure_fallback {
        return Some(Verified::Already);
    }
    client_verifier::strict(validation, table).ok().map(Verified::By)
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("names", &self.names).field("problems", &self.problems).finish()
    }
}

/// A fatal `unrecognized_name` alert in a record of its own (RFC 8446, sections 5.1 and 6).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

impl Refusal {
    async fn refuse(self, mut stream: TcpStream, sni: Option<&str>) -> TlsError {
        // The handshake has failed whether or not this can still be delivered.
        let told = match self {
            Self::Alert => stream.write_all(&UNRECOGNIZED_NAME).await.is_ok(),
            Self::Close => true,
        };
        if told {
            stream.shutdown().await.ok();
        }
        let message = match sni {
            Some(name) => format!("no listener of this port serves the server name {name:?}"),
            None => "the client sent no server name (SNI) and every listener of this port has a hostname".to_owned(),
        };
        TlsError::new(TlsErrorKind::UnrecognizedName, message)
    }
}

type Problems = Vec<(String, String)>;

fn listener_certificates(listener: &Listener, table: &Table) -> (Vec<Candidate>, Problems) {
    let mut usable = Vec::new();
    let mut problems = Vec::new();
    for key in &listener.certificates {
        let found = table.certificates.get(key).ok_or_else(|| "it is not in the table".to_owned());
        match found.and_then(|certificate| Candidate::new(pem::certified_key(certificate)?)) {
            Ok(candidate) => usable.push(candidate),
            Err(reason) => problems.push((listener.key.clone(), format!("certificate {key}: {reason}"))),
        }
    }
    if listener.certificates.is_empty() {
        problems.push((listener.key.clone(), "it names no certificate".to_owned()));
    }
    (usable, problems)
}

/// The inner error is the listener's alone.
fn server_config(
    listener: &Listener,
    candidates: Vec<Candidate>,
    table: &Table,
) -> Result<Result<Arc<ServerConfig>, String>, String> {
    let builder = ServerConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be configured: {error}"))?;
    let builder = match &listener.client_validation {
        None => builder.with_no_client_auth(),
        Some(validation) => match client_verifier::verifier(validation, table) {
            Ok(verifier) => builder.with_client_cert_verifier(verifier),
            Err(reason) => return Ok(Err(reason)),
        },
    };
    let mut config = builder.with_cert_resolver(Arc::new(CertificateChoice { candidates }));
    if listener.protocol == ListenerProtocol::Https {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if listener.client_validation.is_some() {
        // A ticket would let a client in without the check that is asked for now.
        config.send_tls13_tickets = 0;
        return Ok(Ok(Arc::new(config)));
    }
    config.ticketer = ticketer()?;
    // One ticket is enough for a client that reconnects; each costs an encryption and a record.
    config.send_tls13_tickets = 1;
    Ok(Ok(Arc::new(config)))
}

/// Shared by every socket and every version of the table, so that a reload does not end resumption.
/// A ticket is only taken back for the server name that it was issued for.
fn ticketer() -> Result<Arc<dyn ProducesTickets>, String> {
    static TICKETER: OnceLock<Result<Arc<dyn ProducesTickets>, String>> = OnceLock::new();
    TICKETER
        .get_or_init(|| {
            rustls::crypto::ring::Ticketer::new().map_err(|error| format!("no randomness for session tickets: {error}"))
        })
        .clone()
}

/// One of a listener's certificates.
#[derive(Debug)]
struct Candidate {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
}

impl Candidate {
    fn new(key: CertifiedKey) -> Result<Self, String> {
        let leaf = key.end_entity_cert().map_err(|error| error.to_string())?;
        let parsed =
            EndEntityCert::try_from(leaf).map_err(|error| format!("the certificate cannot be read: {error}"))?;
        let names = parsed.valid_dns_names().map(str::to_ascii_lowercase).collect();
        Ok(Self { names, key: Arc::new(key) })
    }

    fn covers(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| certificate_name_covers(pattern, name))
    }

    fn can_sign(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }
}

/// The listener's order of preference, among the certificates that cover the name and whose key
/// type the client can verify; a certificate for another name only where none covers it.
#[derive(Debug)]
struct CertificateChoice {
    candidates: Vec<Candidate>,
}

impl ResolvesServerCert for CertificateChoice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let usable = || self.candidates.iter().filter(|candidate| candidate.can_sign(schemes));
        let covering = hello.server_name().and_then(|name| {
            let name = normalize(name);
            usable().find(|candidate| candidate.covers(&name))
        });
        covering.or_else(|| usable().next()).map(|candidate| candidate.key.clone())
    }
}
