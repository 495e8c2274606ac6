//! The decision: an explicit denial first, then any rule that allows, and else nothing goes out.

use std::net::IpAddr;

use sekisho_table::{EgressAction, EgressMode, EgressProtocol};

use crate::caller::Caller;
use crate::class::ends_at;
use crate::host::Host;
use crate::paths;
use crate::policy::{Place, Policy, PolicySet, Rule, RuleRef, Target};

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

/// What becomes of a request.
#[derive(Clone, Debug)]
pub struct Decision {
    pub verdict: Verdict,
    /// The policy that decided; of a denial because nothing allows it, one that the caller is under.
    pub policy: Option<Box<str>>,
    pub rule: Option<Box<str>>,
    pub mode: EgressMode,
    /// It goes only because a policy is in Report mode.
    pub would_deny: bool,
    /// Whom to ask.
    pub contact: Box<str>,
    /// In order; which of them holds depends on the address.
    pub grants: Vec<Grant>,
}

/// Is told of every rule that was looked at.
pub(crate) trait Recorder {
    fn rule(&mut self, policy: &Policy, rule: &Rule, unmet: Option<&'static str>);
}

impl Recorder for () {
    #[inline]
    fn rule(&mut self, _: &Policy, _: &Rule, _: Option<&'static str>) {}
}

impl PolicySet {
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.decide_with(request, &mut ())
    }

    pub(crate) fn decide_with(&self, request: &Request<'_>, recorder: &mut impl Recorder) -> Decision {
        if let Some(missing) = self.missing.first() {
            return denied(Denial::PolicyMissing, missing, None, "");
        }
        let caller = request.caller;
        let mut refused = self.refused.iter().map(|position| &self.policies[*position as usize]);
        let refused = refused.find(|policy| policy.concerns(caller));
        if let Some(policy) = refused {
            return denied(Denial::PolicyRefused, &policy.key, None, &policy.contact);
        }
        let mut would_deny: Option<RuleRef> = None;
        let mut grants: Vec<Grant> = Vec::new();
        for place in self.candidates(request.destination.host) {
            let (policy, rule) = self.at(place);
            let target = &rule.destinations[place.destination as usize];
            let unmet = unmet(policy, rule, target, request);
            recorder.rule(policy, rule, unmet);
            if unmet.is_some() {
                continue;
            }
            match (rule.action, policy.mode) {
                (EgressAction::Deny, EgressMode::Enforce) => {
                    return denied(Denial::Rule, &policy.key, Some(&rule.name), &policy.contact);
                }
                (EgressAction::Deny, EgressMode::Report) => drop(would_deny.get_or_insert_with(|| self.rule(place))),
                (EgressAction::Allow, _) => {
                    let opaque = target.protocols.contains(&EgressProtocol::Tcp);
                    grants.push(Grant { rule: Some(self.rule(place)), opaque });
                }
            }
        }
        if let Some(rule) = would_deny {
            let opaque = Grant { rule: None, opaque: true };
            return reported(rule.policy(), Some(rule.name().into()), grants, opaque);
        }
        // A rule that is enforced is a better reason than one that is tried.
        grants.sort_by_key(|grant| grant.rule.as_ref().is_some_and(|rule| rule.mode() == EgressMode::Report));
        if let Some(rule) = grants.first().and_then(|grant| grant.rule.clone()) {
            return Decision {
                verdict: Verdict::Allow,
                policy: Some(rule.policy().into()),
                rule: Some(rule.name().into()),
                mode: rule.mode(),
                would_deny: false,
                contact: Box::default(),
                grants,
            };
        }
        self.nothing_allows(caller)
    }

    fn nothing_allows(&self, caller: &Caller) -> Decision {
        if let Some(policy) = self.first_over(caller, true) {
            return reported(&policy.key, None, Vec::new(), Grant { rule: None, opaque: true });
        }
        // Named are policies that the caller is under, and no others: what else there is, is not for it to know.
        match self.first_over(caller, false) {
            Some(policy) => denied(Denial::NothingAllows, &policy.key, None, &policy.contact),
            None => denied(Denial::NothingAllows, "", None, ""),
        }
    }

    /// Destinations that speak of a host, policy by policy and rule by rule.
    fn candidates(&self, host: &Host) -> Vec<Place> {
        let mut found: Vec<Place> = match host {
            Host::Name(name) => self.names.covering(name).collect(),
            Host::Address(address) => {
                self.literals.covering(*address).map(|number| self.places[number as usize]).collect()
            }
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The Deny rule whose addresses hold one of those that a name resolved to.
    pub(crate) fn denies_address(&self, request: &Request<'_>, addresses: &[IpAddr]) -> Option<RuleRef> {
        let ends = addresses.iter().flat_map(|address| ends_at(*address));
        let covering = ends.flat_map(|address| self.denied_literals.covering(address));
        let denies = |place: &Place| {
            let (policy, rule) = self.at(*place);
            unmet(policy, rule, &rule.destinations[place.destination as usize], request).is_none()
        };
        let place = covering.map(|number| self.places[number as usize]).filter(denies).min()?;
        Some(self.rule(place))
    }

    fn at(&self, place: Place) -> (&Policy, &Rule) {
        let policy = &self.policies[place.policy as usize];
        (policy, &policy.rules[place.rule as usize])
    }
}

fn denied(denial: Denial, policy: &str, rule: Option<&str>, contact: &str) -> Decision {
    Decision {
        verdict: Verdict::Deny(denial),
        policy: (!policy.is_empty()).then(|| policy.into()),
        rule: rule.map(Into::into),
        mode: EgressMode::Enforce,
        would_deny: false,
        contact: contact.into(),
        grants: Vec::new(),
    }
}

fn reported(policy: &str, rule: Option<Box<str>>, mut grants: Vec<Grant>, fallback: Grant) -> Decision {
    grants.push(fallback);
    Decision {
        verdict: Verdict::Allow,
        policy: Some(policy.into()),
        rule,
        mode: EgressMode::Report,
        would_deny: true,
        contact: Box::default(),
        grants,
    }
}

/// What of a rule does not hold, apart from the host. What is left out of a Deny rule stands for everything.
fn unmet(policy: &Policy, rule: &Rule, target: &Target, request: &Request<'_>) -> Option<&'static str> {
    if !policy.concerns(request.caller) {
        return Some("namespace of the policy");
    }
    if let Some(field) = rule.unmet_source(request.caller) {
        return Some(field);
    }
    let denies = rule.action == EgressAction::Deny;
    let port = request.destination.port;
    let is_http = matches!(request.protocol, Protocol::Http { .. });
    let has_port = match &*target.ports {
        [] => denies || port == 443 || (port == 80 && is_http),
        ports => ports.contains(&port),
    };
    if !has_port {
        return Some("ports");
    }
    let fits = |protocol: &EgressProtocol| match request.protocol {
        Protocol::Tunnel | Protocol::Tls => matches!(protocol, EgressProtocol::Tls | EgressProtocol::Tcp),
        Protocol::Http { .. } => *protocol == EgressProtocol::Http,
    };
    if !target.protocols.is_empty() && !target.protocols.iter().any(fits) {
        return Some("protocols");
    }
    match request.protocol {
        Protocol::Http { method, path } => {
            if !target.methods.is_empty() && !target.methods.iter().any(|known| **known == *method) {
                return Some("methods");
            }
            let covers = if denies { paths::may_be_below } else { paths::is_below };
            (!target.path_prefixes.is_empty() && !target.path_prefixes.iter().any(|prefix| covers(path, prefix)))
                .then_some("path_prefixes")
        }
        // Requests are not seen: who is to allow some of them allows none, and who is to forbid some forbids all.
        Protocol::Tunnel | Protocol::Tls if denies => None,
        Protocol::Tunnel | Protocol::Tls if !target.methods.is_empty() => Some("methods"),
        Protocol::Tunnel | Protocol::Tls if !target.path_prefixes.is_empty() => Some("path_prefixes"),
        Protocol::Tunnel | Protocol::Tls => None,
    }
}
