//! An update on the wire, decoded resource by resource.
//!
//! Owns the unknown-field rule: an unknown field inside a resource costs that resource, and one outside
//! (in the message, or a kind never heard of) the whole message, because nothing tells what it meant.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::model::*;

#[derive(Deserialize)]
struct Probe {
    format: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: MessageType,
    format: u32,
    version: String,
    base: Option<String>,
    #[serde(borrow)]
    resources: Option<RawResources<'a>>,
    #[serde(borrow)]
    upsert: Option<RawResources<'a>>,
    remove: Option<Removed>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MessageType {
    Snapshot,
    Delta,
}

/// Resources by kind, each still undecoded, so that a bad one stays alone.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawResources<'a> {
    #[serde(borrow)]
    pub trust_bundles: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub certificates: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub endpoints: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub backends: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub gateways: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub authorization_policies: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub request_authentications: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub egress_policies: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub listeners: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub routes: Vec<&'a RawValue>,
}

/// Keys to remove, by kind.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Removed {
    pub trust_bundles: Vec<String>,
    pub certificates: Vec<String>,
    pub endpoints: Vec<String>,
    pub backends: Vec<String>,
    pub gateways: Vec<String>,
    pub authorization_policies: Vec<String>,
    pub request_authentications: Vec<String>,
    pub egress_policies: Vec<String>,
    pub listeners: Vec<String>,
    pub routes: Vec<String>,
}

/// What an update asks for, apart from the resources it brings.
pub enum Scope {
    /// Everything a gateway should hold: what is not named is removed.
    Snapshot,
    /// A change from version `base`.
    Delta { base: String, remove: Box<Removed> },
}

pub struct Update<'a> {
    pub version: String,
    pub scope: Scope,
    pub resources: RawResources<'a>,
}

/// Reads the message around the resources; an error refuses the whole update.
pub fn decode(bytes: &[u8]) -> Result<Update<'_>, String> {
    let message: Message<'_> = serde_json::from_slice(bytes).map_err(|error| {
        // A newer format may hold fields that this reader cannot name: say that first.
        match serde_json::from_slice::<Probe>(bytes) {
            Ok(Probe { format: Some(format) }) if format != FORMAT => unsupported(format),
            _ => format!("the update is not a routing table message: {error}"),
        }
    })?;
    if message.format != FORMAT {
        return Err(unsupported(message.format));
    }
    let Message { kind, version, base, resources, upsert, remove, .. } = message;
    match (kind, base, resources, upsert, remove) {
        (MessageType::Snapshot, None, Some(resources), None, None) => {
            Ok(Update { version, scope: Scope::Snapshot, resources })
        }
        (MessageType::Delta, Some(base), None, upsert, remove) => Ok(Update {
            version,
            scope: Scope::Delta { base, remove: Box::new(remove.unwrap_or_default()) },
            resources: upsert.unwrap_or_default(),
        }),
        (MessageType::Snapshot, ..) => {
            Err("a snapshot holds `resources` and neither `base`, `upsert` nor `remove`".to_owned())
        }
        (MessageType::Delta, ..) => {
            Err("a delta holds `base`, and `upsert` and `remove` in place of `resources`".to_owned())
        }
    }
}

fn unsupported(format: u32) -> String {
    format!(
        "format {format} of the routing table is not supported, this gateway reads format {FORMAT}; \
         run a controller and a gateway of the same release"
    )
}

#[derive(Deserialize)]
struct Keyed {
    key: String,
}

/// Resources of one kind that decoded, in the order of the message, and the keys of those that did not.
pub struct Decoded<T> {
    pub good: Vec<T>,
    pub bad: HashSet<String>,
}

/// Decodes the resources of one kind; each bad one is a rejection and nothing more.
pub fn decode_kind<T: Clone + DeserializeOwned>(
    kind: &str,
    documents: &[&RawValue],
    key_of: impl Fn(&T) -> &str,
    rejected: &mut Vec<Rejection>,
) -> Decoded<T> {
    let mut seen = HashSet::with_capacity(documents.len());
    let mut decoded = Decoded { good: Vec::with_capacity(documents.len()), bad: HashSet::new() };
    for (index, document) in documents.iter().enumerate() {
        match serde_json::from_str::<T>(document.get()) {
            // Decoding leaves room for more in every list; a copy has none.
            Ok(resource) if seen.insert(key_of(&resource).to_owned()) => decoded.good.push(resource.clone()),
            Ok(resource) => rejected.push(Rejection {
                kind: kind.to_owned(),
                key: key_of(&resource).to_owned(),
                reason: "the key appears twice in one update; the first one is used".to_owned(),
            }),
            Err(error) => {
                let key = serde_json::from_str::<Keyed>(document.get());
                let key = key.map_or_else(|_| format!("#{index}"), |keyed| keyed.key);
                decoded.bad.insert(key.clone());
                rejected.push(Rejection { kind: kind.to_owned(), key, reason: error.to_string() });
            }
        }
    }
    decoded
}
