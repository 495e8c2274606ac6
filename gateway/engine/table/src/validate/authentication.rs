//! Rules on request authentications. The keys themselves are judged where they are used: a set without a usable one
//! refuses tokens, and nothing else.

use super::Verdict;
use super::name::{at, bounded, each, header_name, header_value, key, problem, token};
use crate::model::*;

const MAX_RULES: usize = 64;
const MAX_ITEMS: usize = 64;
const MAX_TEXT_BYTES: usize = 1024;
const MAX_KEYS_BYTES: usize = 1 << 20;

pub fn authentication(authentication: &RequestAuthentication) -> Verdict {
    at("key", key(&authentication.key))?;
    at("rules", bounded(authentication.rules.len(), MAX_RULES, "rules"))?;
    each("rules", &authentication.rules, rule)
}

fn rule(rule: &TokenRule) -> Verdict {
    at("issuer", text(&rule.issuer))?;
    at("keys", bounded(rule.keys.len(), MAX_KEYS_BYTES, "bytes"))?;
    for (field, size) in [
        ("audiences", rule.audiences.len()),
        ("from_headers", rule.from_headers.len()),
        ("from_params", rule.from_params.len()),
        ("from_cookies", rule.from_cookies.len()),
        ("output_claim_to_headers", rule.output_claim_to_headers.len()),
    ] {
        at(field, bounded(size, MAX_ITEMS, "items"))?;
    }
    each("audiences", &rule.audiences, |it| text(it))?;
    each("from_headers", &rule.from_headers, |header| {
        at("name", output_or_input(&header.name))?;
        at("prefix", header_value(&header.prefix))
    })?;
    each("from_params", &rule.from_params, |it| text(it))?;
    each("from_cookies", &rule.from_cookies, |it| token(it))?;
    if !rule.output_payload_to_header.is_empty() {
        at("output_payload_to_header", output_or_input(&rule.output_payload_to_header))?;
    }
    each("output_claim_to_headers", &rule.output_claim_to_headers, |it| {
        at("header", output_or_input(&it.header))?;
        at("claim", text(&it.claim))
    })
}

fn text(text: &str) -> Verdict {
    if text.is_empty() {
        return problem("the text is empty; write one");
    }
    bounded(text.len(), MAX_TEXT_BYTES, "bytes")
}

/// Headers that say where a message ends or whom it is for are nobody's to take tokens from or to write claims to.
fn output_or_input(name: &str) -> Verdict {
    header_name(name)?;
    if matches!(name, "host" | "connection" | "content-length" | "transfer-encoding" | "te" | "trailer" | "upgrade") {
        return problem(format!("`{name}` belongs to the message itself; use another header"));
    }
    Ok(())
}
