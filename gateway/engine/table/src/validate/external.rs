//! Rules on a service that is asked for authorization.

use super::Verdict;
use super::name::{at, bounded, each, header_name, header_value, key, path, problem};
use crate::model::*;

const MAX_HEADERS: usize = 256;
const MAX_TIMEOUT_MS: u64 = 600_000;

/// Fields that belong to a connection or frame a message: no answer of a service may set them.
const UNSETTABLE: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub fn authorization(it: &ExternalAuthorization) -> Verdict {
    at("backend", key(&it.backend))?;
    if !it.path_prefix.is_empty() {
        at("path_prefix", path(&it.path_prefix))?;
        if it.path_prefix.ends_with('/') {
            return at("path_prefix", problem("it ends with `/`, and so would begin the path; leave that out"));
        }
    }
    if !(1..=MAX_TIMEOUT_MS).contains(&it.timeout_ms) {
        let text = format!("{} is not between 1 and {MAX_TIMEOUT_MS}", it.timeout_ms);
        return at("timeout_ms", problem(text));
    }
    if !(400..=599).contains(&it.status_on_error) {
        let text = format!("{} is no error; write a status from 400 to 599", it.status_on_error);
        return at("status_on_error", problem(text));
    }
    at("additional_headers", bounded(it.additional_headers.len(), MAX_HEADERS, "headers"))?;
    each("additional_headers", &it.additional_headers, |header| {
        at("name", header_name(&header.name).and_then(|()| settable(&header.name)))?;
        at("value", header_value(&header.value))
    })?;
    for (field, patterns) in [
        ("request_headers", &it.request_headers),
        ("upstream_headers", &it.upstream_headers),
        ("downstream_headers_on_allow", &it.downstream_headers_on_allow),
        ("downstream_headers_on_deny", &it.downstream_headers_on_deny),
    ] {
        at(field, bounded(patterns.len(), MAX_HEADERS, "names"))?;
        each(field, patterns, |pattern| name_pattern(pattern))?;
    }
    Ok(())
}

/// A name, its beginning before `*`, its end after `*`, or `*` for all.
fn name_pattern(pattern: &str) -> Verdict {
    if pattern == "*" {
        return Ok(());
    }
    let name = pattern.strip_suffix('*').or_else(|| pattern.strip_prefix('*')).unwrap_or(pattern);
    if name.contains('*') {
        return problem(format!("`{}` has `*` in more than one place; keep one", pattern.escape_debug()));
    }
    header_name(name)?;
    settable(pattern)
}

fn settable(name: &str) -> Verdict {
    if UNSETTABLE.contains(&name) {
        return problem(format!("`{name}` belongs to the connection and is written by the gateway; leave it out"));
    }
    Ok(())
}
