//! The downstream side: server name to listener, listener to certificate, handshake.
//!
//! The `ClientHello` is read before a configuration is chosen, so that a name nobody serves is
//! refused with `unrecognized_name` (RFC 6066, section 3) instead of with another host's certificate.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};
use sekisho_table::{Listener, Table};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use webpki::EndEntityCert;

use crate::error::{TlsError, TlsErrorKind};
use crate::server_name::{ListenerNames, certificate_name_covers, normalize};
use crate::transport::Transport;
use crate::{pem, provider};

/// TLS of one bound socket. Immutable; a change of listeners or certificates makes a new one.
pub struct ServerTls {
    names: ListenerNames,
    /// By listener; `None` where no certificate is usable: its names are refused, never served by another.
    configs: Vec<Option<Arc<ServerConfig>>>,
    problems: Vec<(String, String)>,
}

/// A finished handshake.
pub struct Accepted {
    pub transport: Transport,
    /// In lower case, without a trailing dot.
    pub sni: Option<String>,
    pub alpn_h2: bool,
}

impl ServerTls {
    /// Fails only when no listener has a usable certificate.
    pub fn build(listeners: &[&Listener], table: &Table) -> Result<Self, String> {
        let mut names = ListenerNames::default();
        let mut configs = Vec::with_capacity(listeners.len());
        let mut problems = Vec::new();
        for (index, listener) in listeners.iter().enumerate() {
            names.add(&listener.hostname, index);
            let (chain, mut reasons) = listener_certificates(listener, table);
            let config = if chain.is_empty() { None } else { Some(server_config(chain)?) };
            problems.append(&mut reasons);
            configs.push(config);
        }
        if configs.iter().all(Option::is_none) {
            let reasons: Vec<_> = problems.iter().map(|(key, reason)| format!("{key}: {reason}")).collect();
            return Err(format!("no listener has a usable certificate: {}", reasons.join("; ")));
        }
        Ok(Self { names, configs, problems })
    }

    /// Listener keys with what is wrong with one of their certificates.
    pub fn problems(&self) -> &[(String, String)] {
        &self.problems
    }

    /// Runs the handshake. The caller bounds its time.
    pub async fn accept(&self, stream: TcpStream) -> Result<Accepted, TlsError> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream)
            .await
            .map_err(|error| TlsError::from_io(&error, "the client"))?;
        let sni = start.client_hello().server_name().map(normalize);
        let Some(config) = self.names.find(sni.as_deref()).and_then(|index| self.configs[index].clone()) else {
            return Err(refuse(start, sni.as_deref()).await);
        };
        let stream = start.into_stream(config).await.map_err(|error| TlsError::from_io(&error, "the client"))?;
        let alpn_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Accepted { transport: Transport::Server(Box::new(stream)), sni, alpn_h2 })
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("names", &self.names).field("problems", &self.problems).finish()
    }
}

/// A fatal `unrecognized_name` alert in a record of its own (RFC 8446, sections 5.1 and 6).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

async fn refuse(mut start: StartHandshake<TcpStream>, sni: Option<&str>) -> TlsError {
    // The handshake has failed whether or not the alert can still be delivered.
    if start.io.write_all(&UNRECOGNIZED_NAME).await.is_ok() {
        start.io.shutdown().await.ok();
    }
    let message = match sni {
        Some(name) => format!("no listener of this port serves the server name {name:?}"),
        None => "the client sent no server name (SNI) and every listener of this port has a hostname".to_owned(),
    };
    TlsError::new(TlsErrorKind::UnrecognizedName, message)
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

fn server_config(candidates: Vec<Candidate>) -> Result<Arc<ServerConfig>, String> {
    let mut config = ServerConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be configured: {error}"))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(CertificateChoice { candidates }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ticketer()?;
    // One ticket is enough for a client that reconnects; each costs an encryption and a record.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
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
