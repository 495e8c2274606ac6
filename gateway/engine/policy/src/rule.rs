//! One rule: a source, an operation and all conditions.

use sekisho_table::{AuthorizationOperation, AuthorizationRule, AuthorizationSource};

use crate::facts::Facts;
use crate::field::{Failed, Field, Test};

#[derive(Debug)]
pub struct Rule {
    sources: Box<[Box<[Test]>]>,
    operations: Box<[Box<[Test]>]>,
    conditions: Box<[Test]>,
    /// Some field of it is one that only requests have.
    asks_of_requests: bool,
    /// Some condition could not be prepared: it never matches where matching permits, and always where it denies.
    broken: bool,
}

/// The first thing that a rule asks for and did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    Source {
        item: usize,
        test: usize,
        failed: Failed,
    },
    Operation {
        item: usize,
        test: usize,
        failed: Failed,
    },
    Condition {
        test: usize,
        failed: Failed,
    },
    /// A rule that permits asks for what only requests have.
    NoRequest,
    /// It cannot be read as it was meant.
    Broken,
}

impl Rule {
    pub fn new(rule: &AuthorizationRule) -> Self {
        let sources: Box<[Box<[Test]>]> = rule.sources.iter().map(source).collect();
        let operations: Box<[Box<[Test]>]> = rule.operations.iter().map(operation).collect();
        let conditions: Box<[Test]> = rule.conditions.iter().filter_map(Test::of_condition).collect();
        let every = sources.iter().chain(&operations).flatten().chain(&conditions);
        Self {
            asks_of_requests: every.into_iter().any(|test| test.field.is_of_requests()),
            broken: conditions.len() < rule.conditions.len()
                || sources.iter().chain(&operations).any(|tests| tests.is_empty()),
            sources,
            operations,
            conditions,
        }
    }

    /// `permits`: whether a match allows something, so that doubt must not match.
    pub fn unmet(&self, facts: &Facts<'_>, permits: bool) -> Option<Unmet> {
        if self.broken {
            return permits.then_some(Unmet::Broken);
        }
        if permits && self.asks_of_requests && facts.http.is_none() {
            return Some(Unmet::NoRequest);
        }
        if let Some((item, test, failed)) = none_holds(&self.sources, facts) {
            return Some(Unmet::Source { item, test, failed });
        }
        if let Some((item, test, failed)) = none_holds(&self.operations, facts) {
            return Some(Unmet::Operation { item, test, failed });
        }
        let mut conditions = self.conditions.iter().enumerate();
        conditions.find_map(|(test, condition)| Some(Unmet::Condition { test, failed: condition.holds(facts).err()? }))
    }

    /// Where an unmet field is written, and the field itself.
    pub fn place(&self, unmet: Unmet) -> Option<(String, &Test, Failed)> {
        let (place, test, failed) = match unmet {
            Unmet::Source { item, test, failed } => {
                let test = &self.sources[item][test];
                (format!("from[{item}].source.{}", test.name), test, failed)
            }
            Unmet::Operation { item, test, failed } => {
                let test = &self.operations[item][test];
                (format!("to[{item}].operation.{}", test.name), test, failed)
            }
            Unmet::Condition { test, failed } => {
                let condition = &self.conditions[test];
                (format!("when[{test}] {}", condition.name), condition, failed)
            }
            Unmet::NoRequest | Unmet::Broken => return None,
        };
        Some((place, test, failed))
    }
}

/// The failure that came latest, of the first item that has it; `None` where an item holds, or nothing is asked for.
fn none_holds(items: &[Box<[Test]>], facts: &Facts<'_>) -> Option<(usize, usize, Failed)> {
    let mut nearest = None;
    for (item, tests) in items.iter().enumerate() {
        let failure = tests.iter().enumerate().find_map(|(test, it)| Some((item, test, it.holds(facts).err()?)));
        let (_, test, _) = failure.as_ref()?;
        if nearest.is_none_or(|(_, best, _)| *test > best) {
            nearest = failure;
        }
    }
    nearest
}

fn source(source: &AuthorizationSource) -> Box<[Test]> {
    [
        Test::new(Field::Principal, "principals", &source.principals, &source.not_principals),
        Test::new(
            Field::RequestPrincipal,
            "requestPrincipals",
            &source.request_principals,
            &source.not_request_principals,
        ),
        Test::new(Field::Namespace, "namespaces", &source.namespaces, &source.not_namespaces),
        Test::new(Field::ServiceAccount, "serviceAccounts", &source.service_accounts, &source.not_service_accounts),
        Test::new(Field::Source, "ipBlocks", &source.ip_blocks, &source.not_ip_blocks),
        Test::new(Field::Remote, "remoteIpBlocks", &source.remote_ip_blocks, &source.not_remote_ip_blocks),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn operation(operation: &AuthorizationOperation) -> Box<[Test]> {
    let texts = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>();
    [
        Test::new(Field::Host, "hosts", &operation.hosts, &operation.not_hosts),
        Test::new(Field::Port, "ports", &texts(&operation.ports), &texts(&operation.not_ports)),
        Test::new(Field::Method, "methods", &operation.methods, &operation.not_methods),
        Test::new(Field::Path, "paths", &operation.paths, &operation.not_paths),
    ]
    .into_iter()
    .flatten()
    .collect()
}
