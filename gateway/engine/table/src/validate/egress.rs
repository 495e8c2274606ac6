//! Rules on ways out and on egress policies: what could not be compared as it was meant is refused.
//!
//! A policy that is refused denies.

use std::collections::HashSet;

use super::authorization::{address_block, service_account, texts};
use super::name::{at, bounded, each, hostname, key, nonzero, path, problem, token};
use super::{Verdict, duration};
use crate::model::*;
use crate::name_server::{NameServer, NotANameServer};

const MAX_REFERENCES: usize = 16_384;
const MAX_NAMESERVERS: usize = 3;
const MAX_RULES: usize = 1024;
const MAX_ITEMS: usize = 1024;
const MAX_VALUES: usize = 65_536;
const MAX_TEXT_BYTES: usize = 1024;
const MAX_BYTES: u64 = 1 << 53;

/// A way out fits the protocol that its clients speak.
pub fn listener(egress: &Egress, listener: &Listener) -> Verdict {
    let fits = match egress.way {
        EgressWay::Proxy => matches!(listener.protocol, ListenerProtocol::Http | ListenerProtocol::Https),
        EgressWay::Http => listener.protocol == ListenerProtocol::Http,
        EgressWay::Tls => listener.protocol == ListenerProtocol::Tls && listener.tls_mode == TlsMode::Passthrough,
    };
    if !fits {
        let text = format!(
            "{} does not go with protocol {}; Proxy is for HTTP and HTTPS, HTTP for HTTP, TLS for TLS that passes \
             through",
            egress.way.as_str(),
            listener.protocol.as_str()
        );
        return at("way", problem(text));
    }
    if !listener.hostname.is_empty() && egress.way != EgressWay::Proxy {
        let text = "names of redirected traffic are for the policies to judge; leave the listener's hostname empty";
        return at("way", problem(text));
    }
    if listener.captured.is_some() {
        return at("way", problem("a listener of captured connections is no way out; leave captured out"));
    }
    deciding(&egress.policies, &egress.nameservers)
}

/// Routes are looked at where their requests and connections are, and never of a way out.
pub fn routed(egress: &RoutedEgress, listener: &Listener) -> Verdict {
    if listener.protocol == ListenerProtocol::Hbone || listener.egress.is_some() {
        return problem("HBONE and ways out have no routes that it could speak of; leave it out");
    }
    deciding(&egress.policies, &egress.nameservers)
}

fn deciding(policies: &[String], nameservers: &[String]) -> Verdict {
    at("policies", bounded(policies.len(), MAX_REFERENCES, "policies"))?;
    at("nameservers", bounded(nameservers.len(), MAX_NAMESERVERS, "servers"))?;
    each("nameservers", nameservers, |text| match text.parse::<NameServer>() {
        Ok(_) => Ok(()),
        Err(NotANameServer) => problem(format!(
            "`{}` is no server; write one such as `10.0.0.53:53` or `tls://10.0.0.53:853#dns.example.com`",
            text.escape_debug()
        )),
    })?;
    let secured = nameservers.iter().filter(|text| text.starts_with("tls://")).count();
    if secured > 0 && secured < nameservers.len() {
        let text = "a server that is asked in the clear beside one with TLS would be the way around it; write one kind";
        return at("nameservers", problem(text));
    }
    Ok(())
}

pub fn policy(policy: &EgressPolicy) -> Verdict {
    at("key", key(&policy.key))?;
    at("confined_to", bounded(policy.confined_to.len(), MAX_TEXT_BYTES, "bytes"))?;
    at("contact", bounded(policy.contact.len(), MAX_TEXT_BYTES, "bytes"))?;
    at("rules", bounded(policy.rules.len(), MAX_RULES, "rules"))?;
    each("rules", &policy.rules, rule)?;
    let names: HashSet<&str> = policy.rules.iter().map(|rule| rule.name.as_str()).collect();
    if names.len() < policy.rules.len() {
        return at("rules", problem("two rules have the same name; give each its own"));
    }
    Ok(())
}

fn rule(rule: &EgressRule) -> Verdict {
    if rule.name.is_empty() {
        return at("name", problem("the name is empty; every rule needs one"));
    }
    at("name", bounded(rule.name.len(), MAX_TEXT_BYTES, "bytes"))?;
    at("sources", bounded(rule.sources.len(), MAX_ITEMS, "sources"))?;
    each("sources", &rule.sources, source)?;
    if rule.destinations.is_empty() {
        return at("destinations", problem("the list is empty; name one destination at least"));
    }
    at("destinations", bounded(rule.destinations.len(), MAX_ITEMS, "destinations"))?;
    each("destinations", &rule.destinations, destination)?;
    texts("address_blocks", &rule.address_blocks)?;
    each("address_blocks", &rule.address_blocks, |text| address_block(text))?;
    if rule.limits.bytes > MAX_BYTES {
        let text = format!("{} is outside 0 to {MAX_BYTES}", rule.limits.bytes);
        return at("limits.bytes", problem(text));
    }
    at("limits.duration_ms", duration(rule.limits.duration_ms))
}

fn source(source: &EgressSource) -> Verdict {
    if *source == EgressSource::default() {
        return problem("it names nothing, so it would match everybody; name one field at least");
    }
    for (field, values) in [
        ("principals", &source.principals),
        ("namespaces", &source.namespaces),
        ("subject_alt_names", &source.subject_alt_names),
    ] {
        texts(field, values)?;
        each(field, values, |text| no_wildcard(text))?;
    }
    texts("service_accounts", &source.service_accounts)?;
    each("service_accounts", &source.service_accounts, |text| service_account(text))?;
    texts("ip_blocks", &source.ip_blocks)?;
    each("ip_blocks", &source.ip_blocks, |text| address_block(text))?;
    at("credentials", bounded(source.credentials.len(), MAX_ITEMS, "credentials"))?;
    each("credentials", &source.credentials, credential)
}

fn no_wildcard(text: &str) -> Verdict {
    if !text.contains('*') {
        return Ok(());
    }
    let shown = text.escape_debug();
    problem(format!("`{shown}` holds a wildcard, and who asks is compared as it is; write each one out"))
}

fn credential(credential: &EgressCredential) -> Verdict {
    let user = &credential.user;
    if user.is_empty() || !user.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b':') {
        return at("user", problem("a user is printable ASCII without ':'; choose another"));
    }
    at("user", bounded(user.len(), MAX_TEXT_BYTES, "bytes"))?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if credential.sha256.len() == 64 && credential.sha256.bytes().all(is_digit) {
        return Ok(());
    }
    at("sha256", problem("it is no digest; write 64 hexadecimal digits in lower case"))
}

fn destination(destination: &EgressDestination) -> Verdict {
    if destination.names.is_empty() && destination.ip_blocks.is_empty() {
        return problem("it names neither names nor ip_blocks, so nothing would match; name one");
    }
    at("names", bounded(destination.names.len(), MAX_VALUES, "values"))?;
    each("names", &destination.names, |text| name_pattern(text))?;
    texts("ip_blocks", &destination.ip_blocks)?;
    each("ip_blocks", &destination.ip_blocks, |text| address_block(text))?;
    at("ports", bounded(destination.ports.len(), MAX_ITEMS, "values"))?;
    each("ports", &destination.ports, |port| nonzero((*port).into()))?;
    at("methods", bounded(destination.methods.len(), MAX_ITEMS, "values"))?;
    each("methods", &destination.methods, |text| token(text))?;
    at("path_prefixes", bounded(destination.path_prefixes.len(), MAX_ITEMS, "values"))?;
    each("path_prefixes", &destination.path_prefixes, |text| path(text))
}

/// A name, `*.name`, `**.name`, or `*`.
fn name_pattern(text: &str) -> Verdict {
    if text == "*" {
        return Ok(());
    }
    let name = text.strip_prefix("**.").or_else(|| text.strip_prefix("*.")).unwrap_or(text);
    hostname(name)?;
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_hexadecimal =
        last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if last.bytes().all(|byte| byte.is_ascii_digit()) || is_hexadecimal {
        return problem(format!("`{text}` reads as an address; write addresses in ip_blocks"));
    }
    Ok(())
}
