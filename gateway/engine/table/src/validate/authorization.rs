//! Rules on authorization policies: a value that could never be compared as it was meant is refused.
//!
//! What cannot be enforced must not look as if it were, so an unknown condition or a text that is no address is a
//! refusal, which denies.

use std::net::IpAddr;

use super::Verdict;
use super::external;
use super::name::{at, bounded, each, header_name, key, nonzero, problem};
use crate::model::*;

const MAX_RULES: usize = 1024;
const MAX_ITEMS: usize = 1024;
const MAX_VALUES: usize = 16_384;
const MAX_VALUE_BYTES: usize = 1024;

pub fn policy(policy: &AuthorizationPolicy) -> Verdict {
    at("key", key(&policy.key))?;
    at("rules", bounded(policy.rules.len(), MAX_RULES, "rules"))?;
    each("rules", &policy.rules, rule)?;
    match &policy.provider {
        Some(_) if policy.action != AuthorizationAction::Custom => {
            at("provider", problem("only a CUSTOM policy asks anybody; leave it out"))
        }
        Some(provider) => at("provider", external::authorization(provider)),
        None => Ok(()),
    }
}

fn rule(rule: &AuthorizationRule) -> Verdict {
    at("sources", bounded(rule.sources.len(), MAX_ITEMS, "sources"))?;
    at("operations", bounded(rule.operations.len(), MAX_ITEMS, "operations"))?;
    at("conditions", bounded(rule.conditions.len(), MAX_ITEMS, "conditions"))?;
    each("sources", &rule.sources, source)?;
    each("operations", &rule.operations, operation)?;
    each("conditions", &rule.conditions, condition)
}

fn source(source: &AuthorizationSource) -> Verdict {
    if *source == AuthorizationSource::default() {
        return problem("it names nothing, so it would match every caller; name one field at least");
    }
    for (field, values) in [
        ("principals", &source.principals),
        ("not_principals", &source.not_principals),
        ("request_principals", &source.request_principals),
        ("not_request_principals", &source.not_request_principals),
        ("namespaces", &source.namespaces),
        ("not_namespaces", &source.not_namespaces),
    ] {
        texts(field, values)?;
    }
    for (field, values) in
        [("service_accounts", &source.service_accounts), ("not_service_accounts", &source.not_service_accounts)]
    {
        texts(field, values)?;
        each(field, values, |text| service_account(text))?;
    }
    for (field, values) in [
        ("ip_blocks", &source.ip_blocks),
        ("not_ip_blocks", &source.not_ip_blocks),
        ("remote_ip_blocks", &source.remote_ip_blocks),
        ("not_remote_ip_blocks", &source.not_remote_ip_blocks),
    ] {
        texts(field, values)?;
        each(field, values, |text| address_block(text))?;
    }
    Ok(())
}

fn operation(operation: &AuthorizationOperation) -> Verdict {
    if *operation == AuthorizationOperation::default() {
        return problem("it names nothing, so it would match every request; name one field at least");
    }
    for (field, values) in [
        ("hosts", &operation.hosts),
        ("not_hosts", &operation.not_hosts),
        ("methods", &operation.methods),
        ("not_methods", &operation.not_methods),
    ] {
        texts(field, values)?;
    }
    for (field, ports) in [("ports", &operation.ports), ("not_ports", &operation.not_ports)] {
        at(field, bounded(ports.len(), MAX_VALUES, "values"))?;
        each(field, ports, |port| nonzero((*port).into()))?;
    }
    for (field, values) in [("paths", &operation.paths), ("not_paths", &operation.not_paths)] {
        texts(field, values)?;
        each(field, values, |text| path_pattern(text))?;
    }
    Ok(())
}

/// How the values of a condition are compared.
enum Comparison {
    Texts,
    Addresses,
    Ports,
    ServiceAccounts,
}

fn condition(condition: &AuthorizationCondition) -> Verdict {
    let Some(comparison) = comparison(&condition.key) else {
        let text = format!(
            "`{}` is no condition that can be decided; use one of Istio's, such as `source.namespace`",
            condition.key.escape_debug()
        );
        return at("key", problem(text));
    };
    if let Some(name) = header_of(&condition.key) {
        at("key", header_name(&name.to_ascii_lowercase()))?;
    }
    if condition.values.is_empty() && condition.not_values.is_empty() {
        return problem("it has neither values nor not_values; name one value at least");
    }
    for (field, values) in [("values", &condition.values), ("not_values", &condition.not_values)] {
        texts(field, values)?;
        each(field, values, |text| match comparison {
            Comparison::Texts => Ok(()),
            Comparison::Addresses => address_block(text),
            Comparison::Ports => port(text),
            Comparison::ServiceAccounts => service_account(text),
        })?;
    }
    Ok(())
}

fn comparison(key: &str) -> Option<Comparison> {
    match key {
        "source.namespace"
        | "source.principal"
        | "request.auth.principal"
        | "request.auth.audiences"
        | "request.auth.presenter"
        | "connection.sni" => Some(Comparison::Texts),
        "source.ip" | "remote.ip" | "destination.ip" => Some(Comparison::Addresses),
        "destination.port" => Some(Comparison::Ports),
        "source.serviceAccount" => Some(Comparison::ServiceAccounts),
        _ => (header_of(key).is_some() || is_claim(key)).then_some(Comparison::Texts),
    }
}

fn header_of(key: &str) -> Option<&str> {
    let name = key.strip_prefix("request.headers[")?.strip_suffix(']')?;
    (!name.is_empty() && !name.contains(['[', ']'])).then_some(name)
}

fn is_claim(key: &str) -> bool {
    let Some(path) = key.strip_prefix("request.auth.claims[").and_then(|rest| rest.strip_suffix(']')) else {
        return false;
    };
    path.split("][").all(|name| !name.is_empty() && !name.contains(['[', ']']))
}

pub(super) fn texts(field: &str, values: &[String]) -> Verdict {
    at(field, bounded(values.len(), MAX_VALUES, "values"))?;
    each(field, values, |value| {
        if value.is_empty() {
            return problem("the value is empty; remove it, or write `*` for any value");
        }
        bounded(value.len(), MAX_VALUE_BYTES, "bytes")
    })
}

pub(super) fn address_block(text: &str) -> Verdict {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => 0,
    };
    let fits = length.is_none_or(|length| plain_number(length).is_some_and(|length| length <= most));
    if most > 0 && fits {
        return Ok(());
    }
    let shown = text.escape_debug();
    problem(format!("`{shown}` is neither an address nor a block; write one such as `10.0.0.0/8`"))
}

fn port(text: &str) -> Verdict {
    if plain_number(text).is_some_and(|port| (1..=65_535).contains(&port)) {
        return Ok(());
    }
    problem(format!("`{}` is no port; write a number from 1 to 65535", text.escape_debug()))
}

/// Digits alone, in the one way to write a number.
fn plain_number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

pub(super) fn service_account(text: &str) -> Verdict {
    if let Some((namespace, name)) = text.split_once('/')
        && !namespace.is_empty()
        && !name.is_empty()
        && !name.contains('/')
        && !text.contains('*')
    {
        return Ok(());
    }
    let shown = text.escape_debug();
    problem(format!("`{shown}` is no service account; write `namespace/name`, without wildcards"))
}

/// A text pattern, or a template whose operators are whole segments, `{**}` the last of them.
fn path_pattern(text: &str) -> Verdict {
    if !text.contains("{*}") && !text.contains("{**}") {
        return Ok(());
    }
    let mut ended = false;
    let sound = text.starts_with('/')
        && text.split('/').all(|segment| match segment {
            "{*}" => !ended,
            "{**}" => !std::mem::replace(&mut ended, true),
            literal => !literal.contains(['{', '}', '*']),
        });
    if sound {
        return Ok(());
    }
    problem(format!(
        "`{}` is no path template; operators are whole segments, `{{**}}` is the last one, and `*` stands nowhere else",
        text.escape_debug()
    ))
}
