//! Services that are asked for authorization over HTTP: what each is told, and what of its answer counts.
//!
//! Owns the rules on headers, both ways; pure. Sending and waiting is [`crate::exchange`]'s.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, DATE, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use sekisho_codec::{Headers, RequestHead};
use sekisho_table::{ExternalAuthorization, Table};
use sekisho_upstream::BackendSpecs;

/// By key of the policy.
pub type Providers = BTreeMap<Box<str>, Provider>;

/// The providers of CUSTOM policies.
pub fn providers(table: &Table, specs: &BackendSpecs) -> Providers {
    let policies = table.authorization_policies.iter();
    let asking = policies.filter_map(|(key, policy)| Some((key, policy.provider.as_ref()?)));
    asking.map(|(key, settings)| (key.as_str().into(), Provider::new(settings, specs))).collect()
}

/// One service, prepared.
#[derive(Debug)]
pub struct Provider {
    pub backend_key: Box<str>,
    /// Position of the backend; `None` where the table does not hold it.
    pub backend: Option<u32>,
    pub timeout_ms: u64,
    pub fail_open: bool,
    pub status_on_error: StatusCode,
    path_prefix: Box<str>,
    additional: Box<[(HeaderName, HeaderValue)]>,
    shown: Names,
    upstream: Names,
    on_allow: Names,
    on_deny: Names,
}

impl Provider {
    pub fn new(settings: &ExternalAuthorization, specs: &BackendSpecs) -> Self {
        let additional = settings.additional_headers.iter().filter_map(|header| {
            let value = HeaderValue::from_bytes(header.value.as_bytes()).ok()?;
            Some((HeaderName::from_bytes(header.name.as_bytes()).ok()?, value))
        });
        Self {
            backend_key: settings.backend.as_str().into(),
            backend: specs.index(&settings.backend),
            timeout_ms: settings.timeout_ms,
            fail_open: settings.fail_open,
            status_on_error: StatusCode::from_u16(settings.status_on_error).unwrap_or(StatusCode::FORBIDDEN),
            path_prefix: settings.path_prefix.as_str().into(),
            additional: additional.collect(),
            shown: Names::new(&settings.request_headers),
            upstream: Names::new(&settings.upstream_headers),
            on_allow: Names::new(&settings.downstream_headers_on_allow),
            on_deny: Names::new(&settings.downstream_headers_on_deny),
        }
    }

    /// What the service is told of a request: no content, and of the headers only what it may see.
    pub fn question(&self, head: &RequestHead) -> RequestHead {
        let mut headers = Headers::default();
        for (name, value) in head.headers.iter() {
            if *name == AUTHORIZATION || (self.shown.has(name) && !is_of_message(name)) {
                headers.append(name.clone(), value.clone());
            }
        }
        for (name, value) in &self.additional {
            headers.set(name.clone(), value.clone());
        }
        RequestHead {
            // A CONNECT would ask the service for a tunnel.
            method: if head.method == Method::CONNECT { Method::GET } else { head.method.clone() },
            scheme: head.scheme,
            authority: head.authority.clone(),
            target: self.target(&head.target),
            version: Version::HTTP_11,
            headers,
        }
    }

    fn target(&self, target: &Bytes) -> Bytes {
        if self.path_prefix.is_empty() && target.starts_with(b"/") {
            return target.clone();
        }
        let mut path = BytesMut::with_capacity(self.path_prefix.len() + target.len() + 1);
        path.put_slice(self.path_prefix.as_bytes());
        if !target.starts_with(b"/") {
            // `*`, of OPTIONS.
            path.put_u8(b'/');
        }
        path.put_slice(target);
        path.freeze()
    }

    /// Changes the request as an answer that allows says. Whatever only the service may say is not the client's to say.
    pub fn allow(&self, answer: &Headers, request: &mut Headers) {
        request.retain(|name, _| *name == AUTHORIZATION || *name == COOKIE || !self.upstream.names(name));
        set_all(request, answer, &self.upstream);
    }

    /// Of an answer that allows, what the client is told with the response.
    pub fn for_response(&self, answer: &Headers) -> Headers {
        picked(answer, &self.on_allow)
    }

    /// Of an answer that denies, what the client is told. Its content keeps its type.
    pub fn denial(&self, answer: &Headers) -> Headers {
        let mut headers = picked(answer, &self.on_deny);
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            if let Some(value) = answer.get(&name) {
                headers.set(name, value.clone());
            }
        }
        headers
    }
}

fn picked(answer: &Headers, names: &Names) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in answer.iter().filter(|(name, _)| names.has(name) && !is_of_answer(name)) {
        headers.append(name.clone(), value.clone());
    }
    headers
}

fn set_all(target: &mut Headers, answer: &Headers, names: &Names) {
    let chosen = picked(answer, names);
    for (name, _) in chosen.iter() {
        target.remove(name);
    }
    for (name, value) in chosen.iter() {
        target.append(name.clone(), value.clone());
    }
}

/// Sets in a response what [`Provider::for_response`] kept for it.
pub fn add_to_response(response: &mut Headers, kept: &Headers) {
    for (name, _) in kept.iter().filter(|(name, _)| *name != http::header::SET_COOKIE) {
        response.remove(name);
    }
    for (name, value) in kept.iter() {
        response.append(name.clone(), value.clone());
    }
}

/// Fields that speak of the service's own answer: of its content, or of when it was made.
fn is_of_answer(name: &HeaderName) -> bool {
    is_of_message(name) || [CONTENT_TYPE, CONTENT_ENCODING, DATE].contains(name)
}

/// Fields that frame one message or belong to its connection: never another's.
fn is_of_message(name: &HeaderName) -> bool {
    const NAMES: [&str; 11] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.contains(&name.as_str())
}

/// Which headers a list of patterns means.
#[derive(Debug, Default)]
struct Names {
    all: bool,
    exact: Box<[HeaderName]>,
    prefixes: Box<[Box<str>]>,
    suffixes: Box<[Box<str>]>,
}

impl Names {
    fn new(patterns: &[String]) -> Self {
        let affixes = |strip: fn(&str) -> Option<&str>| -> Box<[Box<str>]> {
            let affixes = patterns.iter().filter_map(|pattern| strip(pattern));
            affixes.filter(|affix| !affix.is_empty()).map(Box::from).collect()
        };
        Self {
            all: patterns.iter().any(|pattern| pattern == "*"),
            exact: patterns.iter().filter_map(|pattern| HeaderName::from_bytes(named(pattern)?).ok()).collect(),
            prefixes: affixes(|pattern| pattern.strip_suffix('*')),
            suffixes: affixes(|pattern| pattern.strip_prefix('*')),
        }
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.all || self.names(name)
    }

    /// Whether the list means it by more than `*`.
    fn names(&self, name: &HeaderName) -> bool {
        self.exact.contains(name)
            || self.prefixes.iter().any(|prefix| name.as_str().starts_with(&**prefix))
            || self.suffixes.iter().any(|suffix| name.as_str().ends_with(&**suffix))
    }
}

/// A pattern that is a name; `*` is a token too, so it would be one.
fn named(pattern: &str) -> Option<&[u8]> {
    (!pattern.contains('*')).then_some(pattern.as_bytes())
}

#[cfg(test)]
mod tests;
