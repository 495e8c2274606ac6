//! Who asks, and the sources of a rule.

use std::net::IpAddr;

use sekisho_policy::{AddressSet, Peer};
use sekisho_table::{EgressCredential, EgressSource};
use smallvec::SmallVec;

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

/// Texts of which one must be shown: mostly there is one.
#[derive(Debug)]
enum Texts {
    One(Box<str>),
    /// In order: few mostly, and then looked through faster than hashed.
    Several(Box<[Box<str>]>),
}

impl Texts {
    /// `None` where nothing is asked for.
    fn new(values: &[String]) -> Option<Self> {
        match values {
            [] => None,
            [one] => Some(Self::One(one.as_str().into())),
            several => {
                let mut texts: Vec<Box<str>> = several.iter().map(|value| value.as_str().into()).collect();
                texts.sort_unstable();
                Some(Self::Several(texts.into()))
            }
        }
    }

    fn contains(&self, text: &str) -> bool {
        match self {
            Self::One(one) => **one == *text,
            Self::Several(texts) => texts.binary_search_by(|known| (**known).cmp(text)).is_ok(),
        }
    }

    fn hold(&self, text: Option<&str>) -> bool {
        text.is_some_and(|text| self.contains(text))
    }
}

/// A field of a source that is given.
#[derive(Debug)]
enum Condition {
    Principals(Texts),
    Namespaces(Texts),
    ServiceAccounts(Texts),
    SubjectAltNames(Texts),
    /// User, and SHA-256 of the password.
    Credentials(Box<[(Box<str>, [u8; 32])]>),
    Addresses(Box<AddressSet>),
}

impl Condition {
    fn holds(&self, caller: &Caller) -> bool {
        let peer = caller.peer.as_deref();
        match self {
            Self::Principals(texts) => texts.hold(peer.map(Peer::principal)),
            Self::Namespaces(texts) => texts.hold(peer.and_then(Peer::namespace)),
            Self::ServiceAccounts(texts) => texts.hold(peer.and_then(Peer::service_account)),
            Self::SubjectAltNames(texts) => caller.subject_alt_names.iter().any(|name| texts.contains(name)),
            // Digests of secrets: where a comparison of them stops tells nothing of the secret.
            Self::Credentials(known) => caller
                .credential
                .as_ref()
                .is_some_and(|shown| known.iter().any(|(user, digest)| *user == shown.user && *digest == shown.digest)),
            Self::Addresses(addresses) => addresses.contains(caller.address),
        }
    }

    /// As the table has it.
    fn field(&self) -> &'static str {
        match self {
            Self::Principals(_) => "principals",
            Self::Namespaces(_) => "namespaces",
            Self::ServiceAccounts(_) => "service_accounts",
            Self::SubjectAltNames(_) => "subject_alt_names",
            Self::Credentials(_) => "credentials",
            Self::Addresses(_) => "ip_blocks",
        }
    }
}

/// One source, prepared: every condition must hold. Mostly there is one, and then it is at hand.
#[derive(Debug)]
pub(crate) struct Source(SmallVec<[Condition; 1]>);

impl Source {
    pub(crate) fn new(source: &EgressSource) -> Self {
        let credential = |written: &EgressCredential| Some((written.user.as_str().into(), digest(&written.sha256)?));
        let credentials = || source.credentials.iter().filter_map(credential).collect();
        let addresses = || Box::new(AddressSet::new(source.ip_blocks.iter().map(String::as_str)));
        let conditions = [
            Texts::new(&source.principals).map(Condition::Principals),
            Texts::new(&source.namespaces).map(Condition::Namespaces),
            Texts::new(&source.service_accounts).map(Condition::ServiceAccounts),
            Texts::new(&source.subject_alt_names).map(Condition::SubjectAltNames),
            (!source.credentials.is_empty()).then(|| Condition::Credentials(credentials())),
            (!source.ip_blocks.is_empty()).then(|| Condition::Addresses(addresses())),
        ];
        Self(conditions.into_iter().flatten().collect())
    }

    /// The first field that does not hold; `None` when all do.
    fn unmet(&self, caller: &Caller) -> Option<&'static str> {
        self.0.iter().find(|condition| !condition.holds(caller)).map(Condition::field)
    }

    /// Whether it asks for proxy credentials.
    pub(crate) fn wants_credentials(&self) -> bool {
        self.0.iter().any(|condition| matches!(condition, Condition::Credentials(_)))
    }
}

/// The field of a rule's sources that does not hold; `None` where one source does, or none is given.
pub(crate) fn unmet_source(sources: &[Source], caller: &Caller) -> Option<&'static str> {
    let mut first = None;
    for source in sources {
        let unmet = source.unmet(caller)?;
        first.get_or_insert(unmet);
    }
    first
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
