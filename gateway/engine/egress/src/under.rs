//! Which policies a caller is under: those with a rule whose sources hold. Found by what the caller showed, so that it
//! costs no more among a thousand policies than among ten.

use std::collections::HashMap;

use sekisho_policy::{AddressIndex, Peer};
use sekisho_table::EgressSource;
use smallvec::SmallVec;

use crate::caller::Caller;
use crate::policy::Policy;

type Positions = HashMap<Box<str>, SmallVec<[u32; 2]>>;

/// Positions of policies by one thing that each of their sources asks for, the rarest; each list in order.
#[derive(Debug, Default)]
pub(crate) struct CallerIndex {
    /// The first that everybody is under.
    everybody: Option<u32>,
    principals: Positions,
    service_accounts: Positions,
    subject_alt_names: Positions,
    users: Positions,
    namespaces: Positions,
    addresses: AddressIndex,
}

impl CallerIndex {
    /// Policies come in the order of their positions.
    pub(crate) fn insert(&mut self, position: u32, policy: &Policy) {
        let confined_to = &*policy.source.confined_to;
        for rule in &policy.source.rules {
            if rule.sources.is_empty() {
                self.insert_unnamed(position, confined_to);
            }
            rule.sources.iter().for_each(|source| self.insert_source(position, confined_to, source));
        }
    }

    /// `confined_to`: empty, or the one namespace that the policy speaks of.
    fn insert_source(&mut self, position: u32, confined_to: &str, source: &EgressSource) {
        let users: Vec<String> = source.credentials.iter().map(|credential| credential.user.clone()).collect();
        let by_rarity = [
            (&source.principals, &mut self.principals),
            (&source.service_accounts, &mut self.service_accounts),
            (&source.subject_alt_names, &mut self.subject_alt_names),
            (&users, &mut self.users),
            (&source.namespaces, &mut self.namespaces),
        ];
        if let Some((values, positions)) = by_rarity.into_iter().find(|(values, _)| !values.is_empty()) {
            values.iter().for_each(|value| add(positions, value, position));
        } else if source.ip_blocks.is_empty() || !confined_to.is_empty() {
            self.insert_unnamed(position, confined_to);
        } else {
            source.ip_blocks.iter().for_each(|block| self.addresses.insert(block, position));
        }
    }

    fn insert_unnamed(&mut self, position: u32, confined_to: &str) {
        if confined_to.is_empty() {
            self.everybody.get_or_insert(position);
        } else {
            add(&mut self.namespaces, confined_to, position);
        }
    }

    /// The first position that `holds`, of those that may.
    pub(crate) fn first(&self, caller: &Caller, holds: impl Fn(u32) -> bool) -> Option<u32> {
        let peer = caller.peer.as_deref();
        let user = caller.credential.as_ref().map(|credential| &*credential.user);
        let shown = [
            (&self.principals, peer.map(Peer::principal)),
            (&self.service_accounts, peer.and_then(Peer::service_account)),
            (&self.namespaces, peer.and_then(Peer::namespace)),
            (&self.users, user),
        ];
        let of_names = caller.subject_alt_names.iter().filter_map(|name| self.subject_alt_names.get(name));
        let named = shown.into_iter().filter_map(|(positions, value)| positions.get(value?)).chain(of_names);
        let named = named.filter_map(|list| list.iter().copied().find(|position| holds(*position)));
        let by_address = self.addresses.covering(caller.address).filter(|position| holds(*position));
        named.chain(by_address).chain(self.everybody).min()
    }
}

fn add(positions: &mut Positions, value: &str, position: u32) {
    let list = positions.entry(value.into()).or_default();
    if list.last() != Some(&position) {
        list.push(position);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use sekisho_table::{EgressCredential, EgressMode, EgressPolicy, EgressRule, EgressSource};

    use super::*;
    use crate::caller::Credential;
    use crate::policy::Policies;
    use crate::policy_set::PolicySet;

    /// The same numbers each time.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % sides
        }

        fn some(&mut self, texts: &[&str]) -> Vec<String> {
            let chosen = self.roll(texts.len() as u64 * 3) as usize;
            texts.get(chosen).map(|text| (*text).to_owned()).into_iter().collect()
        }
    }

    const PRINCIPALS: [&str; 2] = ["mesh/ns/a/sa/one", "mesh/ns/b/sa/two"];

    fn source(dice: &mut Dice) -> EgressSource {
        let credential = |user: String| EgressCredential { user, sha256: "00".repeat(32) };
        EgressSource {
            principals: dice.some(&PRINCIPALS),
            namespaces: dice.some(&["a", "b"]),
            service_accounts: dice.some(&["a/one", "b/two"]),
            subject_alt_names: dice.some(&["vm.example"]),
            credentials: dice.some(&["ci", "cd"]).into_iter().map(credential).collect(),
            ip_blocks: dice.some(&["10.0.0.0/8", "10.1.0.0/16", "::/0"]),
        }
    }

    fn policies(dice: &mut Dice) -> BTreeMap<String, Arc<EgressPolicy>> {
        let policy = |number: usize| {
            let rules = (0..dice.roll(3)).map(|rule| EgressRule {
                name: rule.to_string(),
                action: Default::default(),
                sources: (0..dice.roll(3)).map(|_| source(dice)).collect(),
                destinations: Vec::new(),
                address_blocks: Vec::new(),
                encrypted_client_hello: false,
                limits: Default::default(),
            });
            let rules = rules.collect();
            let mode = if dice.roll(2) == 0 { EgressMode::Report } else { EgressMode::Enforce };
            let confined_to = dice.some(&["a", "b"]).concat();
            let key = format!("policy-{number}");
            let policy = EgressPolicy {
                key: key.clone(),
                mode,
                rules,
                confined_to,
                contact: String::new(),
                refusal: String::new(),
            };
            (key, Arc::new(policy))
        };
        (0..6).map(policy).collect()
    }

    fn caller(dice: &mut Dice) -> Caller {
        let peer = dice.some(&PRINCIPALS).first().and_then(|principal| Peer::new(&format!("spiffe://{principal}")));
        let names = dice.some(&["vm.example", "other.example"]).into_iter().map(String::into).collect();
        let users = dice.some(&["ci", "cd", "cx"]);
        let credential = users.first().map(|user| Credential { user: user.as_str().into(), digest: [0; 32] });
        let address = ["10.1.1.1", "10.2.2.2", "192.0.2.1", "2001:db8::1"][dice.roll(4) as usize];
        let address = address.parse().expect("an address");
        Caller { peer: peer.map(Box::new), in_mesh: false, subject_alt_names: names, credential, address }
    }

    #[test]
    fn the_index_finds_the_policy_that_a_look_at_all_of_them_finds() {
        let mut dice = Dice(7);
        let mut found = 0;
        for _ in 0..2_000 {
            let table = policies(&mut dice);
            let keys: Vec<String> = table.keys().cloned().collect();
            let set = PolicySet::of(&keys, &Policies::compile(&table, &Policies::default()));
            for reporting in [false, true] {
                let caller = caller(&mut dice);
                let counts = |mode: EgressMode| !reporting || mode == EgressMode::Report;
                let mut all = set.policies.iter().filter(|policy| counts(policy.mode) && policy.names(&caller));
                let expected = all.next().map(|policy| policy.key.clone());
                found += usize::from(expected.is_some());
                let first = set.first_over(&caller, reporting).map(|policy| policy.key.clone());
                assert_eq!(first, expected, "{caller:?} in {table:?}");
            }
        }
        assert!((500..3_500).contains(&found), "{found} of 4000 callers are under a policy");
    }
}
