//! RequestRedirect: an answer that sends the client elsewhere.

use std::fmt::Write as _;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use sekisho_codec::message::{Headers, RequestHead, Scheme};
use sekisho_table::RequestRedirect;

use crate::path::PathChange;
use crate::plan::{LocalResponse, RequestContext};

#[derive(Debug)]
pub struct Redirect {
    scheme: Option<Scheme>,
    hostname: Option<Box<str>>,
    path: Option<PathChange>,
    port: Option<u16>,
    status: StatusCode,
}

impl Redirect {
    pub fn compile(redirect: &RequestRedirect) -> Self {
        Self {
            scheme: match redirect.scheme.as_str() {
                "http" => Some(Scheme::Http),
                "https" => Some(Scheme::Https),
                _ => None,
            },
            hostname: (!redirect.hostname.is_empty()).then(|| redirect.hostname.as_str().into()),
            path: redirect.path.as_ref().map(PathChange::compile),
            port: redirect.port,
            status: StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::FOUND),
        }
    }

    pub fn answer(&self, context: &RequestContext<'_>, head: &RequestHead) -> LocalResponse {
        let mut headers = Headers::with_capacity(1);
        let location = self.location(context, head);
        // Everything in it has been parsed as a header value before; a failure would leave out the location.
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(location)) {
            headers.append(LOCATION, value);
        }
        LocalResponse { status: self.status, headers, reason: "redirect" }
    }

    fn location(&self, context: &RequestContext<'_>, head: &RequestHead) -> String {
        let scheme = self.scheme.unwrap_or(context.scheme);
        let host = self.hostname.as_deref().unwrap_or(context.host);
        let target = head.target_str();
        let mut location = String::with_capacity(scheme.as_str().len() + host.len() + target.len() + 16);
        location.push_str(scheme.as_str());
        location.push_str("://");
        push_host(&mut location, host);
        let port = self.port(context);
        if port != scheme.default_port() {
            let _ = write!(location, ":{port}");
        }
        match &self.path {
            None => location.push_str(target),
            Some(change) => {
                change.write(head.path(), context.matched_prefix, &mut location);
                push_query(&mut location, target);
            }
        }
        location
    }

    /// A scheme brings its own port; without one the client stays on the listener's.
    fn port(&self, context: &RequestContext<'_>) -> u16 {
        match (self.port, self.scheme) {
            (Some(port), _) => port,
            (None, Some(scheme)) => scheme.default_port(),
            (None, None) => context.listener_port,
        }
    }
}

fn push_host(location: &mut String, host: &str) {
    if host.contains(':') && !host.starts_with('[') {
        let _ = write!(location, "[{host}]");
    } else {
        location.push_str(host);
    }
}

/// The query of `target`, with its `?`.
pub fn push_query(out: &mut String, target: &str) {
    if let Some(mark) = target.find('?') {
        out.push_str(&target[mark..]);
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Version};
    use sekisho_table::{PathModifier, PathModifierType};

    use super::*;

    fn redirect() -> RequestRedirect {
        RequestRedirect { scheme: String::new(), hostname: String::new(), path: None, port: None, status: 302 }
    }

    fn location(redirect: &RequestRedirect, scheme: Scheme, listener_port: u16, target: &'static str) -> String {
        location_for(redirect, scheme, listener_port, target, "example.com")
    }

    fn location_for(
        redirect: &RequestRedirect,
        scheme: Scheme,
        listener_port: u16,
        target: &'static str,
        host: &str,
    ) -> String {
        let head = RequestHead {
            method: Method::GET,
            scheme,
            authority: HeaderValue::from_static("Example.com:1234"),
            target: Bytes::from_static(target.as_bytes()),
            version: Version::HTTP_11,
            headers: Headers::default(),
        };
        let context = RequestContext { matched_prefix: Some("/foo"), listener_port, host, scheme };
        let answer = Redirect::compile(redirect).answer(&context, &head);
        assert_eq!(answer.status.as_u16(), redirect.status);
        answer.headers.get(&LOCATION).expect("a location").to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn port_follows_the_scheme_or_the_listener() {
        use Scheme::{Http, Https};
        for (scheme, port, request_scheme, listener_port, expected) in [
            ("", None, Http, 80, "http://example.com/a"),
            ("", None, Http, 8080, "http://example.com:8080/a"),
            ("", None, Https, 443, "https://example.com/a"),
            ("", None, Https, 8443, "https://example.com:8443/a"),
            ("", None, Http, 443, "http://example.com:443/a"),
            ("https", None, Http, 80, "https://example.com/a"),
            ("https", None, Http, 8080, "https://example.com/a"),
            ("http", None, Https, 8443, "http://example.com/a"),
            ("https", Some(8443), Http, 80, "https://example.com:8443/a"),
            ("https", Some(443), Http, 80, "https://example.com/a"),
            ("https", Some(80), Http, 80, "https://example.com:80/a"),
            ("", Some(80), Http, 8080, "http://example.com/a"),
            ("", Some(8081), Http, 80, "http://example.com:8081/a"),
        ] {
            let redirect = RequestRedirect { scheme: scheme.to_owned(), port, ..redirect() };
            let actual = location(&redirect, request_scheme, listener_port, "/a");
            assert_eq!(actual, expected, "{scheme:?} {port:?} {request_scheme:?} {listener_port}");
        }
    }

    #[test]
    fn hostname_path_and_query() {
        let full = PathModifier { kind: PathModifierType::ReplaceFullPath, value: "/new".to_owned() };
        let prefix = PathModifier { kind: PathModifierType::ReplacePrefixMatch, value: "/bar".to_owned() };
        for (hostname, path, target, expected) in [
            ("other.org", None, "/foo/x?q=1", "http://other.org/foo/x?q=1"),
            ("", Some(full.clone()), "/foo/x?q=1", "http://example.com/new?q=1"),
            ("", Some(full), "/foo/x", "http://example.com/new"),
            ("", Some(prefix.clone()), "/foo/x?q=1?2", "http://example.com/bar/x?q=1?2"),
            ("", Some(prefix), "/foo", "http://example.com/bar"),
        ] {
            let redirect = RequestRedirect { hostname: hostname.to_owned(), path, ..redirect() };
            assert_eq!(location(&redirect, Scheme::Http, 80, target), expected);
        }
    }

    #[test]
    fn every_status_and_address_literals() {
        for status in [301, 302, 303, 307, 308] {
            location(&RequestRedirect { status, ..redirect() }, Scheme::Http, 80, "/");
        }
        for host in ["::1", "[::1]"] {
            assert_eq!(location_for(&redirect(), Scheme::Http, 8080, "/", host), "http://[::1]:8080/");
        }
    }
}
