//! The decision: an explicit denial first, then any rule that allows, and else nothing goes out.

use std::net::IpAddr;

use sekisho_table::{EgressAction, EgressMode};
use smallvec::SmallVec;

use crate::caller::Caller;
use crate::class::ends_at;
use crate::host::Host;
use crate::policy::{Policy, RuleOf, RuleRef};
use crate::policy_set::PolicySet;
use crate::target::{Place, Target};

/// Where to.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    pub host: &'a Host,
    pub port: u16,
}

/// What is going to be spoken, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Protocol<'a> {
    /// What CONNECT asks for: the rule says whether it must turn out to be TLS.
    Tunnel,
    Tls,
    /// `path`: normalised, without query.
    Http {
        method: &'a str,
        path: &'a str,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub caller: &'a Caller,
    pub destination: Destination<'a>,
    pub protocol: Protocol<'a>,
}

/// Why something is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A Deny rule matches.
    Rule,
    /// Nothing allows it.
    NothingAllows,
    /// The listener names a policy that is not in the table.
    PolicyMissing,
    /// A policy cannot be enforced as it was written.
    PolicyRefused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Deny(Denial),
}

/// One rule that allows it, or a policy in Report mode that lets it through.
#[derive(Clone, Debug)]
pub struct Grant {
    /// `None`: only because of Report mode.
    pub rule: Option<RuleRef>,
    /// The tunnel need not be TLS with a server name that agrees.
    pub opaque: bool,
}

/// A grant that nobody relies on yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    pub rule: Option<RuleOf<'a>>,
    mode: EgressMode,
    opaque: bool,
}

impl Offer<'_> {
    pub(crate) fn taken(&self) -> Grant {
        Grant { rule: self.rule.map(RuleOf::kept), opaque: self.opaque }
    }
}

type Offers<'a> = SmallVec<[Offer<'a>; 1]>;

/// What becomes of a request. It points at policies and copies nothing of them: what workers share is not written to.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    pub verdict: Verdict,
    by: Decider<'a>,
    pub mode: EgressMode,
    /// It goes only because a policy is in Report mode.
    pub would_deny: bool,
    /// In order; which of them holds depends on the address.
    pub(crate) offers: Offers<'a>,
}

/// Who decided.
#[derive(Clone, Copy, Debug)]
enum Decider<'a> {
    /// No policy that the caller may know of.
    Nobody,
    Rule(RuleOf<'a>),
    /// One that the caller is under, and that cannot be enforced or does not allow it.
    Policy(&'a Policy),
    /// By key.
    Missing(&'a str),
}

impl<'a> Decision<'a> {
    /// The key of the policy that decided; of a denial because nothing allows it, one that the caller is under.
    pub fn policy(&self) -> Option<&'a str> {
        match self.by {
            Decider::Nobody => None,
            Decider::Rule(rule) => Some(&rule.policy.key),
            Decider::Policy(policy) => Some(&policy.key),
            Decider::Missing(key) => Some(key),
        }
    }

    /// The name of the rule that decided.
    pub fn rule(&self) -> Option<&'a str> {
        match self.by {
            Decider::Rule(rule) => Some(&rule.rule().name),
            Decider::Nobody | Decider::Policy(_) | Decider::Missing(_) => None,
        }
    }

    /// Whom to ask about a denial; it may be empty.
    pub fn contact(&self) -> &'a str {
        match self.by {
            _ if self.verdict == Verdict::Allow => "",
            Decider::Rule(rule) => &rule.policy.contact,
            Decider::Policy(policy) => &policy.contact,
            Decider::Nobody | Decider::Missing(_) => "",
        }
    }
}

/// Is told of every destination that was looked at.
pub(crate) trait Recorder {
    fn target(&mut self, set: &PolicySet, target: &Target, unmet: Option<&'static str>);
}

impl Recorder for () {
    #[inline]
    fn target(&mut self, _: &PolicySet, _: &Target, _: Option<&'static str>) {}
}

impl PolicySet {
    pub fn decide(&self, request: &Request<'_>) -> Decision<'_> {
        self.decide_with(request, &mut ())
    }

    pub(crate) fn decide_with(&self, request: &Request<'_>, recorder: &mut impl Recorder) -> Decision<'_> {
        if let Some(missing) = self.missing.first() {
            return denied(Denial::PolicyMissing, Decider::Missing(missing));
        }
        let mut refused = self.refused.iter().map(|position| &self.policies[*position as usize]);
        if let Some(policy) = refused.find(|policy| policy.concerns(request.caller)) {
            return denied(Denial::PolicyRefused, Decider::Policy(policy));
        }
        let mut would_deny: Option<RuleOf<'_>> = None;
        let mut offers = Offers::new();
        for place in self.candidates(request.destination.host) {
            let target = self.target(place);
            let unmet = target.unmet(&self.policies, request);
            recorder.target(self, target, unmet);
            if unmet.is_some() {
                continue;
            }
            let rule = self.rule_of(target);
            match (target.action, target.mode) {
                (EgressAction::Deny, EgressMode::Enforce) => return denied(Denial::Rule, Decider::Rule(rule)),
                (EgressAction::Deny, EgressMode::Report) => would_deny = would_deny.or(Some(rule)),
                (EgressAction::Allow, _) => {
                    offers.push(Offer { rule: Some(rule), mode: target.mode, opaque: target.is_opaque() });
                }
            }
        }
        if let Some(rule) = would_deny {
            return reported(Decider::Rule(rule), offers);
        }
        // A rule that is enforced is a better reason than one that is tried. Of a tunnel it is not known yet what it will
        // carry: one that may carry anything goes before one that must turn out to be TLS.
        if offers.len() > 1 {
            let is_tunnel = matches!(request.protocol, Protocol::Tunnel);
            offers.sort_by_key(|offer| (offer.mode == EgressMode::Report, is_tunnel && !offer.opaque));
        }
        let Some(first) = offers.first() else { return self.nothing_allows(request.caller) };
        let by = first.rule.map_or(Decider::Nobody, Decider::Rule);
        Decision { verdict: Verdict::Allow, by, mode: first.mode, would_deny: false, offers }
    }

    fn nothing_allows(&self, caller: &Caller) -> Decision<'_> {
        if let Some(policy) = self.first_over(caller, true) {
            return reported(Decider::Policy(policy), Offers::new());
        }
        // Named are policies that the caller is under, and no others: what else there is, is not for it to know.
        let over = self.first_over(caller, false);
        denied(Denial::NothingAllows, over.map_or(Decider::Nobody, Decider::Policy))
    }

    /// Destinations that speak of a host, policy by policy and rule by rule.
    fn candidates(&self, host: &Host) -> SmallVec<[Place; 8]> {
        let mut found = match host {
            Host::Name(name) => self.names.covering(name),
            Host::Address(address) => self.literals.covering(*address).map(Place).collect(),
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The Deny rule whose addresses hold one of those that a name resolved to.
    pub(crate) fn denies_address(&self, request: &Request<'_>, addresses: &[IpAddr]) -> Option<RuleRef> {
        let ends = addresses.iter().flat_map(|address| ends_at(*address));
        let covering = ends.flat_map(|address| self.denied_literals.covering(address)).map(Place);
        let denies = |place: &Place| self.target(*place).unmet(&self.policies, request).is_none();
        covering.filter(denies).min().map(|place| self.rule_of(self.target(place)).kept())
    }
}

fn denied(denial: Denial, by: Decider<'_>) -> Decision<'_> {
    let (verdict, mode) = (Verdict::Deny(denial), EgressMode::Enforce);
    Decision { verdict, by, mode, would_deny: false, offers: Offers::new() }
}

/// Report mode lets it through, by another rule where one allows it and the address.
fn reported<'a>(by: Decider<'a>, mut offers: Offers<'a>) -> Decision<'a> {
    offers.push(Offer { rule: None, mode: EgressMode::Report, opaque: true });
    Decision { verdict: Verdict::Allow, by, mode: EgressMode::Report, would_deny: true, offers }
}
