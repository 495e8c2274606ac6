//! Who talks to whom, as metrics tell it: workloads, and the identities that were proved.
//!
//! A worker numbers the parties that it meets; series hold numbers. What is told comes from the table and from verified
//! certificates, never from a request.

use std::collections::HashMap;
use std::sync::Arc;

use sekisho_policy::Peer;
use sekisho_table::Workload;
use sekisho_upstream::PeerSpec;
use serde::Serialize;

use crate::series::Security;

/// Verified peers are finite, and still not worth memory without bound: those beyond are told as unknown.
const MOST: usize = 4096;

/// One side; what is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Party {
    pub principal: String,
    pub workload: String,
    pub workload_namespace: String,
    pub canonical_service: String,
    pub canonical_revision: String,
    pub cluster: String,
}

impl Party {
    /// The gateway itself. `uri`: what it has proved to be, or would prove.
    pub fn own(workload: Option<&Workload>, uri: Option<&str>) -> Self {
        let named = workload.map(|workload| Self {
            workload: workload.name.clone(),
            workload_namespace: workload.namespace.clone(),
            canonical_service: workload.canonical_service.clone(),
            canonical_revision: workload.canonical_revision.clone(),
            cluster: workload.cluster.clone(),
            ..Self::default()
        });
        Self { principal: uri.unwrap_or_default().to_owned(), ..named.unwrap_or_default() }
    }

    pub fn client(peer: &Peer) -> Self {
        let namespace = peer.namespace().unwrap_or_default().to_owned();
        Self { principal: format!("spiffe://{}", peer.principal()), workload_namespace: namespace, ..Self::default() }
    }

    pub fn endpoint(peer: &PeerSpec) -> Self {
        let (namespace, name) = peer.workload.split_once('/').unwrap_or_default();
        Self {
            principal: format!("spiffe://{}", peer.identity),
            workload: name.to_owned(),
            workload_namespace: namespace.to_owned(),
            ..Self::default()
        }
    }
}

/// A party's number on one worker; the default is nobody in particular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartyId(pub u32);

/// The gateway's own numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own {
    pub plain: PartyId,
    /// With its identity, for traffic over mutual TLS.
    pub proved: PartyId,
}

/// What a connection knows of both sides before it is known where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    pub reporter: Reporter,
    pub own: Own,
    /// Who has proved to be the client.
    pub client: PartyId,
    pub security: Security,
}

impl Standing {
    /// `endpoint`: the one that it went to, where that is in the mesh.
    pub fn between(self, endpoint: PartyId) -> (Between, Security) {
        let unproved = PartyId::default();
        let mutual = self.security == Security::MutualTls;
        match self.reporter {
            Reporter::Destination => {
                let destination = if mutual { self.own.proved } else { self.own.plain };
                (Between { reporter: self.reporter, source: self.client, destination }, self.security)
            }
            Reporter::Source if endpoint == unproved => {
                let source = self.own.plain;
                (Between { reporter: self.reporter, source, destination: unproved }, self.security)
            }
            Reporter::Source => {
                let source = self.own.proved;
                (Between { reporter: self.reporter, source, destination: endpoint }, Security::MutualTls)
            }
        }
    }
}

/// Which side of the traffic reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reporter {
    #[default]
    Source,
    /// The gateway stands before the workload that is called.
    Destination,
}

impl Reporter {
    pub fn label(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// The two sides of one request or connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Between {
    pub reporter: Reporter,
    pub source: PartyId,
    pub destination: PartyId,
}

/// Those that one worker has met.
#[derive(Clone, Debug)]
pub struct Parties {
    known: Vec<Arc<Party>>,
    positions: HashMap<Arc<Party>, u32>,
}

impl Default for Parties {
    fn default() -> Self {
        let nobody = Arc::new(Party::default());
        Self { known: vec![nobody.clone()], positions: HashMap::from([(nobody, 0)]) }
    }
}

impl Parties {
    pub fn number(&mut self, party: &Party) -> PartyId {
        if let Some(position) = self.positions.get(party) {
            return PartyId(*position);
        }
        if self.known.len() >= MOST {
            return PartyId::default();
        }
        let (position, party) = (self.known.len() as u32, Arc::new(party.clone()));
        self.known.push(party.clone());
        self.positions.insert(party, position);
        PartyId(position)
    }

    pub fn get(&self, id: PartyId) -> &Party {
        self.known.get(id.0 as usize).unwrap_or(&self.known[0])
    }

    /// The numbers here of what another worker has met.
    pub fn meet(&mut self, other: &Parties) -> Vec<PartyId> {
        other.known.iter().map(|party| self.number(party)).collect()
    }
}

impl Between {
    /// The same with another worker's numbers.
    pub fn renumbered(self, numbers: &[PartyId]) -> Self {
        let number = |id: PartyId| numbers.get(id.0 as usize).copied().unwrap_or_default();
        Self { source: number(self.source), destination: number(self.destination), ..self }
    }
}

/// What labels say of the two sides.
#[derive(Debug, Serialize)]
pub struct Sides<'a> {
    reporter: &'static str,
    source: &'a Party,
    destination: &'a Party,
}

impl<'a> Sides<'a> {
    pub fn new(between: Between, parties: &'a Parties) -> Self {
        Self {
            reporter: between.reporter.label(),
            source: parties.get(between.source),
            destination: parties.get(between.destination),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(principal: &str) -> Party {
        Party { principal: principal.to_owned(), ..Party::default() }
    }

    #[test]
    fn a_party_has_one_number_and_nobody_the_first() {
        let mut parties = Parties::default();
        assert_eq!(parties.number(&Party::default()), PartyId(0));
        assert_eq!(parties.number(&party("a")), PartyId(1));
        assert_eq!(parties.number(&party("a")), PartyId(1));
        assert_eq!(parties.get(PartyId(1)).principal, "a");
    }

    #[test]
    fn numbers_of_another_worker_are_translated() {
        let (mut mine, mut theirs) = (Parties::default(), Parties::default());
        mine.number(&party("a"));
        let b = theirs.number(&party("b"));
        let numbers = mine.meet(&theirs);
        let between = Between { source: b, ..Between::default() }.renumbered(&numbers);
        assert_eq!(mine.get(between.source).principal, "b");
        assert_eq!(mine.get(between.destination), &Party::default());
    }

    #[test]
    fn parties_without_number_are_nobody() {
        let mut parties = Parties::default();
        for number in 0..2 * MOST {
            parties.number(&party(&number.to_string()));
        }
        assert_eq!(parties.number(&party("one more")), PartyId::default());
    }
}
