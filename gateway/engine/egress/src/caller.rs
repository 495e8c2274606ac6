//! Who asks, and the sources of a rule.

use std::net::IpAddr;

use sekisho_policy::{AddressSet, Peer};
use sekisho_table::EgressSource;

/// What a client of the forward proxy showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub user: Box<str>,
    /// SHA-256 of the password.
    pub digest: [u8; 32],
}

/// The facts about a client; everything in it was proved.
#[derive(Clone, Debug)]
pub struct Caller {
    /// From a verified certificate.
    pub peer: Option<Box<Peer>>,
    /// It was verified by the mesh's mutual TLS, and not by authorities that a listener names.
    pub in_mesh: bool,
    /// DNS names (lower case) and URIs of that certificate.
    pub subject_alt_names: Box<[Box<str>]>,
    pub credential: Option<Credential>,
    pub address: IpAddr,
}

impl Caller {
    /// Of an address alone.
    pub fn at(address: IpAddr) -> Self {
        Self { peer: None, in_mesh: false, subject_alt_names: Box::default(), credential: None, address }
    }
}

/// Texts in order: few mostly, and then looked through faster than hashed.
#[derive(Debug)]
struct Texts(Box<[Box<str>]>);

impl Texts {
    fn new(values: &[String]) -> Self {
        let mut texts: Vec<Box<str>> = values.iter().map(|value| value.as_str().into()).collect();
        texts.sort_unstable();
        Self(texts.into())
    }

    fn contains(&self, text: &str) -> bool {
        self.0.binary_search_by(|known| (**known).cmp(text)).is_ok()
    }

    /// Whether nothing is asked for, or this is.
    fn hold(&self, text: Option<&str>) -> bool {
        self.0.is_empty() || text.is_some_and(|text| self.contains(text))
    }
}

/// One source, prepared: every field that is given must hold.
#[derive(Debug)]
pub(crate) struct Source {
    principals: Texts,
    namespaces: Texts,
    service_accounts: Texts,
    subject_alt_names: Texts,
    credentials: Vec<(Box<str>, [u8; 32])>,
    has_credentials: bool,
    addresses: Option<AddressSet>,
}

impl Source {
    pub(crate) fn new(source: &EgressSource) -> Self {
        Self {
            principals: Texts::new(&source.principals),
            namespaces: Texts::new(&source.namespaces),
            service_accounts: Texts::new(&source.service_accounts),
            subject_alt_names: Texts::new(&source.subject_alt_names),
            credentials: source
                .credentials
                .iter()
                .filter_map(|credential| Some((credential.user.as_str().into(), digest(&credential.sha256)?)))
                .collect(),
            has_credentials: !source.credentials.is_empty(),
            addresses: (!source.ip_blocks.is_empty())
                .then(|| AddressSet::new(source.ip_blocks.iter().map(String::as_str))),
        }
    }

    /// The first field that does not hold; `None` when all do.
    pub(crate) fn unmet(&self, caller: &Caller) -> Option<&'static str> {
        let peer = caller.peer.as_deref();
        if !self.principals.hold(peer.map(Peer::principal)) {
            return Some("principals");
        }
        if !self.namespaces.hold(peer.and_then(Peer::namespace)) {
            return Some("namespaces");
        }
        if !self.service_accounts.hold(peer.and_then(Peer::service_account)) {
            return Some("service_accounts");
        }
        let names = &self.subject_alt_names;
        if !names.0.is_empty() && !caller.subject_alt_names.iter().any(|name| names.contains(name)) {
            return Some("subject_alt_names");
        }
        if self.has_credentials && !caller.credential.as_ref().is_some_and(|shown| self.knows(shown)) {
            return Some("credentials");
        }
        match &self.addresses {
            Some(addresses) if !addresses.contains(caller.address) => Some("ip_blocks"),
            _ => None,
        }
    }

    fn knows(&self, shown: &Credential) -> bool {
        // Digests of secrets: where a comparison of them stops tells nothing of the secret.
        self.credentials.iter().any(|(user, digest)| *user == shown.user && *digest == shown.digest)
    }

    /// Whether it asks for proxy credentials.
    pub(crate) fn wants_credentials(&self) -> bool {
        self.has_credentials
    }
}

fn digest(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hexadecimal.len() != 64 {
        return None;
    }
    for (byte, place) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(hexadecimal.get(place..place + 2)?, 16).ok()?;
    }
    Some(digest)
}
