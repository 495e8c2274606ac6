//! The guard on addresses: where a name resolves to is looked at whole, before anything is dialled.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::class::{Class, classify, ends_at};
use crate::decide::{Decision, Grant, Offer, Request};
use crate::policy::RuleRef;
use crate::policy_set::PolicySet;

/// Addresses of this gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses(HashSet<IpAddr>);

impl FromIterator<IpAddr> for OwnAddresses {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(addresses: T) -> Self {
        let is_one = |address: &IpAddr| !address.is_unspecified() && !address.is_loopback();
        Self(addresses.into_iter().map(|address| address.to_canonical()).filter(is_one).collect())
    }
}

/// Why addresses may not be dialled.
#[derive(Clone, Debug)]
pub enum Prohibited {
    /// The first that may not.
    Address { address: IpAddr, class: Class, own: bool },
    /// A Deny rule names it.
    Rule(RuleRef),
}

impl PolicySet {
    /// The first grant by which all addresses may be dialled. One that may not is reason enough: an answer that mixes
    /// public and private addresses is not to be trusted with either.
    pub fn vet(
        &self,
        request: &Request<'_>,
        decision: &Decision<'_>,
        addresses: &[IpAddr],
        own: &OwnAddresses,
    ) -> Result<Grant, Prohibited> {
        if let Some(rule) = self.denies_address(request, addresses) {
            return Err(Prohibited::Rule(rule));
        }
        let mut first = None;
        for offer in &decision.offers {
            match addresses.iter().find_map(|address| prohibited(offer, *address, own)) {
                None => return Ok(offer.taken()),
                Some(why) => drop(first.get_or_insert(why)),
            }
        }
        Err(first.unwrap_or(Prohibited::Address {
            address: addresses.first().copied().unwrap_or(IpAddr::from([0, 0, 0, 0])),
            class: Class::Unspecified,
            own: false,
        }))
    }
}

fn prohibited(offer: &Offer<'_>, address: IpAddr, own: &OwnAddresses) -> Option<Prohibited> {
    let (class, canonical) = (classify(address), address.to_canonical());
    let own = ends_at(address).any(|end| own.0.contains(&end));
    let named_alone = || offer.rule.is_some_and(|rule| rule.rule().permitted_alone.contains(&canonical));
    let permitted = match class {
        _ if own => named_alone(),
        Class::Public => true,
        Class::Metadata => named_alone(),
        _ => named_alone() || offer.rule.is_some_and(|rule| rule.rule().permitted.contains(address)),
    };
    (!permitted).then_some(Prohibited::Address { address, class, own })
}
