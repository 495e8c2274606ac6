//! The rules of a listener, prepared, and what they make of a request.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::HeaderName;
use sekisho_codec::RequestHead;
use sekisho_policy::Token;
use sekisho_table::RequestAuthentication;

use crate::cache::{CacheKey, Proved, TokenCache};
use crate::claims;
use crate::extract::{Found, Place, concealed, places};
use crate::jwt::Jwt;
use crate::outputs::{Outputs, strip};
use crate::verify::{Fault, Issuer};

/// Sets have numbers, so that what was proved with keys of an older table is not found again.
static SETS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Rule {
    /// `namespace/name/rule`.
    name: Box<str>,
    issuer: Issuer,
    outputs: Outputs,
    forward: bool,
}

/// What looks at the requests of a listener.
#[derive(Debug)]
pub struct AuthenticationSet {
    number: u64,
    /// A policy that is not in the table, or cannot be enforced as it was written: everything is refused.
    broken: Option<Box<str>>,
    rules: Box<[Rule]>,
    /// Each place once, with the rules that look at it.
    places: Box<[(Place, Box<[usize]>)]>,
    /// Parameters in which tokens may be.
    parameters: Box<[Box<str>]>,
    outputs: Box<[HeaderName]>,
}

/// A request that passes.
#[derive(Debug, Default)]
pub struct Authenticated {
    /// `None` without a token.
    pub token: Option<Rc<Token>>,
    /// Headers of claims came or went: what was matched by headers may match otherwise.
    pub changed: bool,
}

/// A request that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `rule`: the one to blame, `namespace/name/rule`, where there is a single one.
    Token { fault: Fault, rule: Option<String> },
    /// Which policy is not in force.
    Unavailable { policy: String },
}

impl AuthenticationSet {
    /// The policies that a listener names.
    pub fn of(keys: &[String], table: &BTreeMap<String, Arc<RequestAuthentication>>) -> Self {
        let mut broken = None;
        let mut rules = Vec::new();
        let mut all: Vec<(Place, Vec<usize>)> = Vec::new();
        for key in keys {
            let Some(policy) = table.get(key).filter(|policy| policy.refusal.is_empty()) else {
                broken.get_or_insert_with(|| key.as_str().into());
                continue;
            };
            for (position, rule) in policy.rules.iter().enumerate() {
                for place in places(rule) {
                    match all.iter_mut().find(|(known, _)| *known == place) {
                        Some((_, looking)) => looking.push(rules.len()),
                        None => all.push((place, vec![rules.len()])),
                    }
                }
                rules.push(Rule {
                    name: format!("{key}/{position}").into(),
                    issuer: Issuer::new(rule),
                    outputs: Outputs::new(rule),
                    forward: rule.forward_original_token,
                });
            }
        }
        let mut outputs: Vec<HeaderName> = Vec::new();
        for name in rules.iter().flat_map(|rule| rule.outputs.names()) {
            if !outputs.contains(name) {
                outputs.push(name.clone());
            }
        }
        let parameters = all.iter().filter_map(|(place, _)| match place {
            Place::Parameter(name) => Some(name.clone()),
            Place::Header(..) | Place::Cookie(_) => None,
        });
        Self {
            parameters: parameters.collect(),
            number: SETS.fetch_add(1, Ordering::Relaxed),
            broken,
            rules: rules.into(),
            places: all.into_iter().map(|(place, looking)| (place, looking.into())).collect(),
            outputs: outputs.into(),
        }
    }

    /// A target as logs may have it: whoever reads them must not be able to use the tokens, and a refused token may
    /// well count elsewhere. `None` where there is nothing to conceal.
    pub fn concealed(&self, target: &str) -> Option<String> {
        concealed(target, &self.parameters)
    }

    /// Proves the tokens of a request and puts into its head what is to go to the backend. `now`: seconds since 1970.
    ///
    /// Every token that is found must count; the first says who the caller is.
    pub fn authenticate(
        &self,
        head: &mut RequestHead,
        now: f64,
        cache: &mut TokenCache,
    ) -> Result<Authenticated, Refusal> {
        if let Some(policy) = &self.broken {
            return Err(Refusal::Unavailable { policy: policy.to_string() });
        }
        let mut result = Authenticated { token: None, changed: strip(head, &self.outputs) };
        // Headers of claims are written last: none of them must be taken for a token.
        let mut proved = Vec::new();
        for (position, (place, looking)) in self.places.iter().enumerate() {
            let text = match place.find(head) {
                Found::Nothing => continue,
                Found::Unclear => return Err(refusal(Fault::Malformed)),
                Found::Token(text) => text,
            };
            let key = CacheKey::new(self.number, position, &text);
            let found = match cache.get(&key) {
                Some(known) if known.validity.check(now).is_ok() => known,
                _ => {
                    let found = self.prove(&text, looking, now)?;
                    cache.insert(key, found.clone());
                    found
                }
            };
            let rule = &self.rules[found.rule];
            let payload = if rule.outputs.names().next().is_some() { payload_of(&text) } else { String::new() };
            if !rule.forward {
                place.take(head);
            }
            proved.push((rule, found.token, payload));
        }
        for (rule, token, payload) in proved {
            rule.outputs.write(head, &payload, &token.claims);
            result.changed |= rule.outputs.names().next().is_some();
            result.token.get_or_insert(token);
        }
        Ok(result)
    }

    /// By the rules that look at its place: one that is for its issuer must accept it.
    fn prove(&self, text: &str, looking: &[usize], now: f64) -> Result<Proved, Refusal> {
        let jwt = Jwt::parse(text).ok_or_else(|| refusal(Fault::Malformed))?;
        let issuer = jwt.issuer().unwrap_or_default();
        let mut worst = refusal(Fault::UnknownIssuer);
        for position in looking.iter().copied().filter(|position| &*self.rules[*position].issuer.name == issuer) {
            let rule = &self.rules[position];
            match rule.issuer.verify(&jwt, now) {
                Ok(validity) => {
                    let token = Rc::new(claims::facts(jwt.claims));
                    return Ok(Proved { rule: position, validity, token });
                }
                Err(fault) => worst = Refusal::Token { fault, rule: Some(rule.name.to_string()) },
            }
        }
        Err(worst)
    }
}

fn payload_of(token: &str) -> String {
    token.split('.').nth(1).unwrap_or_default().to_owned()
}

fn refusal(fault: Fault) -> Refusal {
    Refusal::Token { fault, rule: None }
}
