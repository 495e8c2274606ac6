//! CORS (Fetch standard, section 3.2): answers preflights, and marks what may be read across origins.
//!
//! With this filter the gateway's policy is the only one: what a backend says about sharing is replaced. A request
//! from an origin that is not allowed still goes through, without the headers that would let a page read the answer.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, StatusCode};
use sekisho_codec::message::{Headers, RequestHead};

use crate::plan::LocalResponse;

const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
const OWNED: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

#[derive(Debug)]
pub struct Cors {
    any_origin: bool,
    origins: Box<[OriginPattern]>,
    credentials: bool,
    methods: Allowed,
    headers: Allowed,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// What a preflight is told that it may use.
#[derive(Debug)]
enum Allowed {
    Nothing,
    Listed(HeaderValue),
    /// `*` means every name only without credentials; with them, what was asked for is echoed.
    Any,
}

impl Cors {
    pub fn compile(cors: &sekisho_table::Cors) -> Self {
        let expose_any = cors.expose_headers.iter().any(|name| name == "*");
        Self {
            any_origin: cors.allow_origins.iter().any(|origin| origin == "*"),
            origins: cors.allow_origins.iter().filter_map(|origin| OriginPattern::compile(origin)).collect(),
            credentials: cors.allow_credentials,
            methods: Allowed::compile(&cors.allow_methods),
            headers: Allowed::compile(&cors.allow_headers),
            expose: match (expose_any, cors.allow_credentials) {
                (true, true) => list(cors.expose_headers.iter().filter(|name| *name != "*")),
                (true, false) => Some(ANY),
                (false, _) => list(cors.expose_headers.iter()),
            },
            max_age: HeaderValue::from(cors.max_age_seconds),
        }
    }

    /// The answer to a preflight; `None` for any other request.
    pub fn preflight(&self, head: &RequestHead) -> Option<LocalResponse> {
        if head.method != Method::OPTIONS {
            return None;
        }
        let origin = head.headers.get(&ORIGIN)?;
        let method = head.headers.get(&ACCESS_CONTROL_REQUEST_METHOD)?;
        let mut headers = Headers::with_capacity(8);
        headers.append(VARY, VARY_PREFLIGHT);
        if self.allows(origin) {
            self.share_with(origin, &mut headers);
            if let Some(methods) = self.methods.answer(self.credentials, Some(method)) {
                headers.append(ACCESS_CONTROL_ALLOW_METHODS, methods);
            }
            let asked = head.headers.get(&ACCESS_CONTROL_REQUEST_HEADERS);
            if let Some(names) = self.headers.answer(self.credentials, asked) {
                headers.append(ACCESS_CONTROL_ALLOW_HEADERS, names);
            }
            headers.append(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        Some(LocalResponse { status: StatusCode::NO_CONTENT, headers, reason: "cors_preflight" })
    }

    pub fn on_response(&self, origin: Option<&HeaderValue>, headers: &mut Headers) {
        headers.retain(|name, _| !OWNED.contains(name));
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            self.share_with(origin, headers);
        }
        // Without it a cache would serve one origin's answer to another.
        if !self.is_same_for_all() && !varies_by_origin(headers) {
            headers.append(VARY, VARY_ORIGIN);
        }
    }

    fn share_with(&self, origin: &HeaderValue, headers: &mut Headers) {
        let shared_with = if self.is_same_for_all() { ANY } else { origin.clone() };
        headers.append(ACCESS_CONTROL_ALLOW_ORIGIN, shared_with);
        if self.credentials {
            headers.append(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(names) = &self.expose {
            headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
        }
    }

    fn is_same_for_all(&self) -> bool {
        self.any_origin && !self.credentials
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        if self.any_origin {
            return true;
        }
        let origin = origin.to_str().ok().and_then(Origin::parse);
        origin.is_some_and(|origin| self.origins.iter().any(|pattern| pattern.accepts(&origin)))
    }
}

impl Allowed {
    fn compile(names: &[String]) -> Self {
        if names.iter().any(|name| name == "*") {
            return Self::Any;
        }
        list(names.iter()).map_or(Self::Nothing, Self::Listed)
    }

    fn answer(&self, credentials: bool, asked: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Nothing => None,
            Self::Listed(names) => Some(names.clone()),
            Self::Any if credentials => asked.cloned(),
            Self::Any => Some(ANY),
        }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> Option<HeaderValue> {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}

fn varies_by_origin(headers: &Headers) -> bool {
    let names = headers.get_all(&VARY).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.map(<[u8]>::trim_ascii).any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}

/// An origin as browsers write it, the scheme's port filled in.
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !rest.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (rest, None),
        };
        let default = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Some(Self { scheme, host, port: port.or(default) })
    }
}

#[derive(Debug)]
struct OriginPattern {
    scheme: Box<str>,
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Debug)]
enum HostPattern {
    Any,
    Exact(Box<str>),
    /// What follows the `*`, its dot included: any number of labels comes before it.
    Suffix(Box<str>),
}

impl OriginPattern {
    fn compile(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let Origin { scheme, host, port } = Origin::parse(&text)?;
        let host = match host.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(suffix) => HostPattern::Suffix(suffix.into()),
            None => HostPattern::Exact(host.into()),
        };
        Some(Self { scheme: scheme.into(), host, port })
    }

    fn accepts(&self, origin: &Origin<'_>) -> bool {
        let host = match &self.host {
            HostPattern::Any => true,
            HostPattern::Exact(host) => **host == *origin.host,
            HostPattern::Suffix(suffix) => origin.host.len() > suffix.len() && origin.host.ends_with(&**suffix),
        };
        host && *self.scheme == *origin.scheme && self.port == origin.port
    }
}
