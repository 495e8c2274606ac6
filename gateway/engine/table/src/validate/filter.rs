//! Rules on filters, of a rule or of one of its backends.

use super::Verdict;
use super::authorization::address_block;
use super::external;
use super::name::{
    at, bounded, each, header_name, header_value, hostname, key, nonzero, path, pattern_hostname, problem, token,
};
use crate::model::*;

const MAX_FILTERS: usize = 64;
const MAX_HEADERS: usize = 256;
const MAX_BLOCKS: usize = 4096;
const MAX_SOURCE_BYTES: usize = 1024;
const MAX_ORIGINS: usize = 256;
const REDIRECT_STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// Fields that frame a message or belong to one connection: the engine alone writes them.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Judges the list in the field `filters`.
pub fn filters(filters: &[Filter]) -> Verdict {
    at("filters", bounded(filters.len(), MAX_FILTERS, "filters"))?;
    each("filters", filters, |filter| match filter {
        Filter::RequestHeaderModifier(it) | Filter::ResponseHeaderModifier(it) => header_modifier(it),
        Filter::RequestRedirect(it) => request_redirect(it),
        Filter::UrlRewrite(it) => url_rewrite(it),
        Filter::RequestMirror(it) => request_mirror(it),
        Filter::Cors(it) => cors(it),
        Filter::ExternalAuth(it) => at("provider", external::authorization(&it.provider)),
        Filter::CredentialInjection(it) => credential_injection(it),
        Filter::SourceRanges(it) => source_ranges(it),
    })
}

/// The same of a share, which is chosen when it is known who may come.
pub fn share_filters(list: &[Filter]) -> Verdict {
    filters(list)?;
    each("filters", list, |filter| match filter {
        Filter::ExternalAuth(_) => problem("ExternalAuth is for a rule; move it there"),
        Filter::SourceRanges(_) => problem("SourceRanges is for a rule; move it there"),
        _ => Ok(()),
    })
}

fn source_ranges(it: &SourceRanges) -> Verdict {
    for (field, blocks) in [("allow", &it.allow), ("deny", &it.deny)] {
        at(field, bounded(blocks.len(), MAX_BLOCKS, "blocks"))?;
        each(field, blocks, |block| address_block(block))?;
    }
    if it.allow.is_empty() && it.deny.is_empty() {
        return problem("it names nobody; set allow or deny");
    }
    Ok(())
}

fn header_modifier(it: &HeaderModifier) -> Verdict {
    for (field, list) in [("set", &it.set), ("add", &it.add)] {
        at(field, bounded(list.len(), MAX_HEADERS, "headers"))?;
        each(field, list, |header| {
            at("name", changeable(&header.name))?;
            at("value", header_value(&header.value))
        })?;
    }
    at("remove", bounded(it.remove.len(), MAX_HEADERS, "headers"))?;
    each("remove", &it.remove, |name| changeable(name))
}

fn credential_injection(it: &CredentialInjection) -> Verdict {
    at("headers", bounded(it.headers.len(), MAX_HEADERS, "headers"))?;
    if it.headers.is_empty() {
        return at("headers", problem("it sets nothing; name a header"));
    }
    each("headers", &it.headers, |header| {
        at("name", changeable(&header.name))?;
        if header.value.is_empty() || header_value(&header.value).is_err() {
            // Never shown.
            return at("value", problem("the value is empty, too long, or holds control characters"));
        }
        Ok(())
    })?;
    at("source", bounded(it.source.len(), MAX_SOURCE_BYTES, "bytes"))
}

fn changeable(name: &str) -> Verdict {
    header_name(name)?;
    if name == "host" {
        return problem("`host` is not changed by a header modifier; use a URLRewrite filter with `hostname`");
    }
    if RESERVED.contains(&name) {
        return problem(format!("`{name}` belongs to the connection and is written by the gateway; leave it out"));
    }
    Ok(())
}

fn request_redirect(it: &RequestRedirect) -> Verdict {
    if !["", "http", "https"].contains(&it.scheme.as_str()) {
        let text = format!("`{}` is not supported; write `http`, `https` or nothing", it.scheme.escape_debug());
        return at("scheme", problem(text));
    }
    if !it.hostname.is_empty() {
        at("hostname", hostname(&it.hostname))?;
    }
    if let Some(modifier) = &it.path {
        at("path.value", path_modifier(modifier))?;
    }
    if let Some(port) = it.port {
        at("port", nonzero(port.into()))?;
    }
    if !REDIRECT_STATUSES.contains(&it.status) {
        return at("status", problem(format!("{} is not a redirect; write one of {REDIRECT_STATUSES:?}", it.status)));
    }
    Ok(())
}

fn url_rewrite(it: &UrlRewrite) -> Verdict {
    if !it.hostname.is_empty() {
        at("hostname", hostname(&it.hostname))?;
    }
    it.path.as_ref().map_or(Ok(()), |modifier| at("path.value", path_modifier(modifier)))
}

/// Empty stands for `/`, as in the table of the API's `HTTPPathModifier`.
fn path_modifier(it: &PathModifier) -> Verdict {
    if it.value.is_empty() { Ok(()) } else { path(&it.value) }
}

fn request_mirror(it: &RequestMirror) -> Verdict {
    at("backend", key(&it.backend))?;
    at("denominator", nonzero(it.denominator.into()))?;
    if it.numerator > it.denominator {
        let text = format!("{} is over the denominator, {}; write a fraction", it.numerator, it.denominator);
        return at("numerator", problem(text));
    }
    Ok(())
}

fn cors(it: &Cors) -> Verdict {
    at("allow_origins", bounded(it.allow_origins.len(), MAX_ORIGINS, "origins"))?;
    each("allow_origins", &it.allow_origins, |text| origin(text))?;
    at("allow_methods", bounded(it.allow_methods.len(), MAX_HEADERS, "methods"))?;
    each("allow_methods", &it.allow_methods, |method| token(method))?;
    for (field, list) in [("allow_headers", &it.allow_headers), ("expose_headers", &it.expose_headers)] {
        at(field, bounded(list.len(), MAX_HEADERS, "headers"))?;
        each(field, list, |name| header_name(&name.to_ascii_lowercase()))?;
    }
    Ok(())
}

/// `*`, or scheme, host (itself, or with all that is left of a dot as `*`) and an optional port.
fn origin(text: &str) -> Verdict {
    let is_good = |text: &str| {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !rest.ends_with(']') => (host, port),
            _ => (rest, "1"),
        };
        let host_is_good = host == "*" || pattern_hostname(host).is_ok() || is_ipv6(host);
        let port_is_good = port.parse::<u16>().is_ok_and(|port| port > 0);
        Some(matches!(scheme, "http" | "https") && host_is_good && port_is_good)
    };
    if text == "*" || is_good(&text.to_ascii_lowercase()) == Some(true) {
        return Ok(());
    }
    problem(format!(
        "`{}` is not an origin; write `*`, or `http` or `https` and a host, such as `https://*.example.com`",
        text.escape_debug()
    ))
}

fn is_ipv6(host: &str) -> bool {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
}
