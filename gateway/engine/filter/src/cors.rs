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

use crate::origin::{Origin, OriginPattern};
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Version;
    use sekisho_codec::message::Scheme;

    use super::*;

    type Pairs = Vec<(&'static str, &'static str)>;

    fn policy(origins: &[&str], methods: &[&str], headers: &[&str], credentials: bool) -> Cors {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Cors::compile(&sekisho_table::Cors {
            allow_origins: owned(origins),
            allow_credentials: credentials,
            allow_methods: owned(methods),
            allow_headers: owned(headers),
            expose_headers: Vec::new(),
            max_age_seconds: 5,
        })
    }

    fn headers(pairs: &Pairs) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn listed(headers: &Headers) -> Vec<(&str, &str)> {
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII"))).collect()
    }

    fn request(method: Method, pairs: &Pairs) -> RequestHead {
        RequestHead {
            method,
            scheme: Scheme::Http,
            authority: HeaderValue::from_static("example.com"),
            target: Bytes::from_static(b"/"),
            version: Version::HTTP_11,
            headers: headers(pairs),
        }
    }

    fn preflight(policy: &Cors, origin: &'static str) -> Option<LocalResponse> {
        policy.preflight(&request(
            Method::OPTIONS,
            &vec![
                ("origin", origin),
                ("access-control-request-method", "PUT"),
                ("access-control-request-headers", "x-one, x-two"),
            ],
        ))
    }

    const VARIES: (&str, &str) = ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

    #[test]
    fn a_preflight_is_told_what_it_may_use() {
        let allow_origin = "access-control-allow-origin";
        let methods = "access-control-allow-methods";
        let names = "access-control-allow-headers";
        let credentials = ("access-control-allow-credentials", "true");
        let age = ("access-control-max-age", "5");
        for (policy, expected) in [
            (
                policy(&["https://a.com"], &["GET", "PUT"], &["x-one", "x-two"], true),
                vec![
                    VARIES,
                    (allow_origin, "https://a.com"),
                    credentials,
                    (methods, "GET, PUT"),
                    (names, "x-one, x-two"),
                    age,
                ],
            ),
            (policy(&["https://a.com"], &[], &[], false), vec![VARIES, (allow_origin, "https://a.com"), age]),
            (
                policy(&["*"], &["*"], &["*"], false),
                vec![VARIES, (allow_origin, "*"), (methods, "*"), (names, "*"), age],
            ),
            (
                policy(&["*"], &["*"], &["*"], true),
                vec![
                    VARIES,
                    (allow_origin, "https://a.com"),
                    credentials,
                    (methods, "PUT"),
                    (names, "x-one, x-two"),
                    age,
                ],
            ),
            (policy(&["https://b.com"], &["*"], &["*"], true), vec![VARIES]),
            (policy(&[], &["*"], &["*"], false), vec![VARIES]),
        ] {
            let answer = preflight(&policy, "https://a.com").expect("a preflight");
            assert_eq!(answer.status, StatusCode::NO_CONTENT);
            assert_eq!(listed(&answer.headers), expected, "{policy:?}");
        }
    }

    #[test]
    fn nothing_is_echoed_that_was_not_asked_for() {
        let asks = vec![("origin", "https://a.com"), ("access-control-request-method", "PUT")];
        let answer =
            policy(&["*"], &["*"], &["*"], true).preflight(&request(Method::OPTIONS, &asks)).expect("a preflight");
        assert!(!answer.headers.contains(&ACCESS_CONTROL_ALLOW_HEADERS));
    }

    #[test]
    fn only_preflights_are_answered_here() {
        let policy = policy(&["*"], &["*"], &[], false);
        for (method, pairs) in [
            (Method::GET, vec![("origin", "https://a.com"), ("access-control-request-method", "PUT")]),
            (Method::OPTIONS, vec![("origin", "https://a.com")]),
            (Method::OPTIONS, vec![("access-control-request-method", "PUT")]),
        ] {
            assert!(policy.preflight(&request(method.clone(), &pairs)).is_none(), "{method} {pairs:?}");
        }
    }

    fn on_response(policy: &Cors, origin: Option<&'static str>, upstream: &Pairs) -> Headers {
        let mut answered = headers(upstream);
        policy.on_response(origin.map(HeaderValue::from_static).as_ref(), &mut answered);
        answered
    }

    #[test]
    fn responses_are_shared_with_allowed_origins_alone() {
        let named = || policy(&["https://a.com"], &[], &[], true);
        let from_a = ("access-control-allow-origin", "https://a.com");
        let credentials = ("access-control-allow-credentials", "true");
        let vary = ("vary", "Origin");
        for (policy, origin, upstream, expected) in [
            (named(), Some("https://a.com"), vec![], vec![from_a, credentials, vary]),
            (named(), Some("https://b.com"), vec![], vec![vary]),
            (named(), None, vec![], vec![vary]),
            (named(), Some("https://b.com"), vec![("access-control-allow-origin", "*")], vec![vary]),
            (
                named(),
                Some("https://a.com"),
                vec![("access-control-allow-origin", "*")],
                vec![from_a, credentials, vary],
            ),
            (named(), None, vec![("vary", "accept, origin")], vec![("vary", "accept, origin")]),
            (named(), None, vec![("vary", "accept")], vec![("vary", "accept"), vary]),
            (named(), None, vec![("vary", "*")], vec![("vary", "*")]),
            (
                policy(&["*"], &[], &[], false),
                Some("https://b.com"),
                vec![],
                vec![("access-control-allow-origin", "*")],
            ),
            (policy(&["*"], &[], &[], true), Some("https://a.com"), vec![], vec![from_a, credentials, vary]),
        ] {
            assert_eq!(listed(&on_response(&policy, origin, &upstream)), expected, "{policy:?} {origin:?}");
        }
    }

    #[test]
    fn exposed_headers_are_named_and_never_all_with_credentials() {
        for (exposed, credentials, expected) in [
            (vec!["x-one", "x-two"], true, Some("x-one, x-two")),
            (vec!["*"], false, Some("*")),
            (vec!["*"], true, None),
            (vec!["x-one", "*"], true, Some("x-one")),
            (vec![], false, None),
        ] {
            let policy = Cors::compile(&sekisho_table::Cors {
                allow_origins: vec!["*".to_owned()],
                allow_credentials: credentials,
                allow_methods: Vec::new(),
                allow_headers: Vec::new(),
                expose_headers: exposed.iter().map(|name| (*name).to_owned()).collect(),
                max_age_seconds: 5,
            });
            let answered = on_response(&policy, Some("https://a.com"), &vec![]);
            let actual = answered.get(&ACCESS_CONTROL_EXPOSE_HEADERS).map(|value| value.to_str().expect("ASCII"));
            assert_eq!(actual, expected, "{exposed:?} {credentials}");
        }
    }
}
