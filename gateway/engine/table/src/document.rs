//! A table as its message on the wire, piece by piece, so that a large one is never in memory as text.

use std::sync::Arc;

use serde::Serialize;

use crate::kind::{KINDS, Kind, Resource};
use crate::model::*;
use crate::store::Table;

/// A piece is given out once it is so long.
const PIECE_BYTES: usize = 64 * 1024;

/// One resource, whatever its kind.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Held {
    TrustBundles(Arc<TrustBundle>),
    Certificates(Arc<Certificate>),
    Endpoints(Arc<Endpoints>),
    Backends(Arc<Backend>),
    Gateways(Arc<Gateway>),
    AuthorizationPolicies(Arc<AuthorizationPolicy>),
    RequestAuthentications(Arc<RequestAuthentication>),
    EgressPolicies(Arc<EgressPolicy>),
    Listeners(Arc<Listener>),
    Routes(Arc<Route>),
}

/// The pieces of a `Snapshot`. It holds the resources as they were, whatever becomes of the table.
#[derive(Debug)]
pub struct SnapshotText {
    version: String,
    kinds: Vec<(Kind, Vec<Held>)>,
    /// Kind and resource that come next.
    next: Option<(usize, usize)>,
}

impl SnapshotText {
    /// Of the `kinds` of a table, by their fields on the wire; names that are none are passed over.
    pub fn new(table: &Table, kinds: &[impl AsRef<str>]) -> Self {
        let wanted = KINDS.into_iter().filter(|kind| kinds.iter().any(|name| name.as_ref() == kind.field()));
        let kinds = wanted.map(|kind| (kind, kind.held(table))).collect();
        Self { version: table.version.clone(), kinds, next: Some((0, 0)) }
    }

    fn begin(&self, piece: &mut Vec<u8>) {
        let version = serde_json::Value::from(self.version.as_str());
        let text = format!(r#"{{"type":"snapshot","format":{FORMAT},"version":{version},"resources":{{"#);
        piece.extend_from_slice(text.as_bytes());
    }
}

/// Contains private keys where certificates are asked for.
impl Iterator for SnapshotText {
    type Item = Result<Vec<u8>, serde_json::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut kind, mut place) = self.next?;
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        if (kind, place) == (0, 0) {
            self.begin(&mut piece);
        }
        while let Some((name, held)) = self.kinds.get(kind) {
            if place == 0 {
                let comma = if kind > 0 { "," } else { "" };
                piece.extend_from_slice(format!(r#"{comma}"{}":["#, name.field()).as_bytes());
            }
            while let Some(resource) = held.get(place) {
                if place > 0 {
                    piece.push(b',');
                }
                if let Err(error) = serde_json::to_writer(&mut piece, resource) {
                    self.next = None;
                    return Some(Err(error));
                }
                place += 1;
                if piece.len() >= PIECE_BYTES && place < held.len() {
                    self.next = Some((kind, place));
                    return Some(Ok(piece));
                }
            }
            piece.push(b']');
            (kind, place) = (kind + 1, 0);
        }
        piece.extend_from_slice(b"}}");
        self.next = None;
        Some(Ok(piece))
    }
}

impl Kind {
    fn held(self, table: &Table) -> Vec<Held> {
        fn all<T: Resource>(table: &Table, held: impl Fn(Arc<T>) -> Held) -> Vec<Held> {
            T::of(table).values().map(|resource| held(resource.clone())).collect()
        }
        match self {
            Self::TrustBundles => all(table, Held::TrustBundles),
            Self::Certificates => all(table, Held::Certificates),
            Self::Endpoints => all(table, Held::Endpoints),
            Self::Backends => all(table, Held::Backends),
            Self::Gateways => all(table, Held::Gateways),
            Self::AuthorizationPolicies => all(table, Held::AuthorizationPolicies),
            Self::RequestAuthentications => all(table, Held::RequestAuthentications),
            Self::EgressPolicies => all(table, Held::EgressPolicies),
            Self::Listeners => all(table, Held::Listeners),
            Self::Routes => all(table, Held::Routes),
        }
    }

    pub fn count(self, table: &Table) -> usize {
        match self {
            Self::TrustBundles => table.trust_bundles.len(),
            Self::Certificates => table.certificates.len(),
            Self::Endpoints => table.endpoints.len(),
            Self::Backends => table.backends.len(),
            Self::Gateways => table.gateways.len(),
            Self::AuthorizationPolicies => table.authorization_policies.len(),
            Self::RequestAuthentications => table.request_authentications.len(),
            Self::EgressPolicies => table.egress_policies.len(),
            Self::Listeners => table.listeners.len(),
            Self::Routes => table.routes.len(),
        }
    }
}

impl Table {
    /// How many resources of each kind there are, by the kind's field on the wire.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        KINDS.into_iter().map(|kind| (kind.field(), kind.count(self)))
    }
}
