//! `X-Forwarded-For`, `-Proto`, `-Host`, `-Client-Cert` and `Forwarded` (RFC 7239): who the client is, as far as hops
//! are trusted.
//!
//! With no trusted hop nobody's word is believed: whatever came is replaced. With some, what they said is kept,
//! and the client is the address that the outermost trusted hop saw.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderName, HeaderValue};
use sekisho_codec::Prepared;
use sekisho_codec::message::{Headers, RequestHead, Scheme};

pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub static X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const PREFIX: &[u8] = b"x-forwarded-";

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// The scheme that the client used towards the outermost trusted hop.
    pub scheme: Scheme,
}

/// What one connection adds to each of its requests, worked out once.
#[derive(Clone, Debug)]
pub struct Forwarding {
    trusted_hops: u32,
    peer: IpAddr,
    peer_value: HeaderValue,
    scheme: Scheme,
    /// What is told of the client's certificate.
    certificate: Option<HeaderValue>,
    /// What hops told of certificates is dropped, whomever they are trusted by.
    certificate_alone: bool,
    /// What replaces every claim.
    own: Prepared,
}

impl Forwarding {
    pub fn new(trusted_hops: u32, peer: IpAddr, scheme: Scheme) -> Self {
        let peer = peer.to_canonical();
        let text = peer.to_string();
        // An address is digits, letters, dots and colons, so it cannot be refused.
        let peer_value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown"));
        let own = [
            (X_FORWARDED_FOR.clone(), peer_value.clone()),
            (X_FORWARDED_PROTO.clone(), HeaderValue::from_static(scheme.as_str())),
        ];
        Self {
            trusted_hops,
            peer,
            peer_value,
            scheme,
            certificate: None,
            certificate_alone: false,
            own: own.into_iter().collect(),
        }
    }

    /// With what is told of the client's certificate, which was verified.
    pub fn with_certificate(mut self, told: HeaderValue) -> Self {
        let own = [
            (X_FORWARDED_FOR.clone(), self.peer_value.clone()),
            (X_FORWARDED_PROTO.clone(), HeaderValue::from_static(self.scheme.as_str())),
            (X_FORWARDED_CLIENT_CERT.clone(), told.clone()),
        ];
        self.own = own.into_iter().collect();
        self.certificate = Some(told);
        self
    }

    /// Nobody but this connection tells of a certificate: its client was to prove who it is here.
    pub fn with_certificate_alone(mut self) -> Self {
        self.certificate_alone = true;
        self
    }

    /// Writes the forwarding headers of a request, and says who sent it. Run it before the authority is rewritten.
    pub fn apply(&self, head: &mut RequestHead) -> Client {
        if self.trusted_hops == 0 {
            self.replace(head);
            return Client { address: self.peer, scheme: self.scheme };
        }
        let address = self.client_address(&head.headers);
        let scheme = told_scheme(&head.headers).unwrap_or(self.scheme);
        self.extend(head, scheme);
        Client { address, scheme }
    }

    /// Who sends a request with these headers.
    pub fn client_of(&self, headers: &Headers) -> IpAddr {
        if self.trusted_hops == 0 { self.peer } else { self.client_address(headers) }
    }

    fn replace(&self, head: &mut RequestHead) {
        head.headers.retain_names(|name| !is_claim(name));
        head.headers.append_all(&self.own);
        head.headers.append_copy(&X_FORWARDED_HOST, &head.authority);
    }

    fn extend(&self, head: &mut RequestHead, scheme: Scheme) {
        let chain = joined(&head.headers, &X_FORWARDED_FOR, self.peer_value.as_bytes());
        let had_forwarded = head.headers.contains(&FORWARDED);
        head.headers.set(X_FORWARDED_FOR.clone(), chain);
        head.headers.set(X_FORWARDED_PROTO.clone(), HeaderValue::from_static(scheme.as_str()));
        if !head.headers.contains(&X_FORWARDED_HOST) {
            head.headers.append(X_FORWARDED_HOST.clone(), head.authority.clone());
        }
        if self.certificate_alone {
            head.headers.remove(&X_FORWARDED_CLIENT_CERT);
        }
        if let Some(told) = &self.certificate {
            let chain = joined(&head.headers, &X_FORWARDED_CLIENT_CERT, told.as_bytes());
            head.headers.set(X_FORWARDED_CLIENT_CERT.clone(), chain);
        }
        if had_forwarded {
            let element = self.forwarded_element(&head.authority);
            head.headers.set(FORWARDED, joined(&head.headers, &FORWARDED, &element));
        }
    }

    /// The hop that `trusted_hops` hops vouch for, the nearest of them being the peer; the peer where the chain
    /// is shorter or unreadable.
    fn client_address(&self, headers: &Headers) -> IpAddr {
        let back = self.trusted_hops as usize - 1;
        let told = if headers.contains(&X_FORWARDED_FOR) {
            let elements =
                headers.get_all(&X_FORWARDED_FOR).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
            nth_from_end(elements.collect(), back).and_then(parse_address)
        } else {
            let elements = headers.get_all(&FORWARDED).flat_map(|value| split_quoted(value.as_bytes(), b','));
            nth_from_end(elements.collect(), back).and_then(forwarded_for)
        };
        told.unwrap_or(self.peer)
    }

    fn forwarded_element(&self, authority: &HeaderValue) -> Vec<u8> {
        let mut element = match self.peer {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        }
        .into_bytes();
        element.extend_from_slice(b";proto=");
        element.extend_from_slice(self.scheme.as_str().as_bytes());
        // An authority holds no quote: the parser has checked it.
        element.extend_from_slice(b";host=\"");
        element.extend_from_slice(authority.as_bytes());
        element.push(b'"');
        element
    }
}

/// Whether a header says what only trusted hops may.
fn is_claim(name: &[u8]) -> bool {
    match name.first() {
        Some(b'x') => name.starts_with(PREFIX) || name == b"x-real-ip",
        Some(b'f') => name == b"forwarded",
        _ => false,
    }
}

fn nth_from_end(elements: Vec<&[u8]>, back: usize) -> Option<&[u8]> {
    elements.into_iter().nth_back(back)
}

/// Every value of `name` in one, with `last` at its end.
fn joined(headers: &Headers, name: &HeaderName, last: &[u8]) -> HeaderValue {
    let mut list = Vec::new();
    for value in headers.get_all(name).filter(|value| !value.is_empty()) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(last);
    // Made of values and a comma, so it is one too.
    HeaderValue::from_maybe_shared(bytes::Bytes::from(list)).unwrap_or(HeaderValue::from_static(""))
}

fn told_scheme(headers: &Headers) -> Option<Scheme> {
    let mut values = headers.get_all(&X_FORWARDED_PROTO);
    let value = values.next().filter(|_| values.next().is_none())?;
    match value.as_bytes().trim_ascii() {
        value if value.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
        value if value.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
        _ => None,
    }
}

/// An address alone, or with a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element.trim_ascii()).ok()?;
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text,
    };
    let without_port = || bare.split_once(':').and_then(|(address, _)| address.parse().ok());
    bare.parse().ok().or_else(without_port).map(|address: IpAddr| address.to_canonical())
}

/// The address in the `for` parameter of an element of `Forwarded`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    split_quoted(element, b';').into_iter().find_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at_checked(4)?;
        if !name.eq_ignore_ascii_case(b"for=") {
            return None;
        }
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        parse_address(quoted.unwrap_or(value))
    })
}

/// Splits at `separator` outside quoted strings.
fn split_quoted(list: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (position, byte) in list.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte if *byte == separator && !quoted => {
                parts.push(&list[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Method, Version};

    use super::*;

    fn head(pairs: &[(&'static str, &'static str)]) -> RequestHead {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        RequestHead {
            method: Method::GET,
            scheme: Scheme::Http,
            authority: HeaderValue::from_static("example.com:8080"),
            target: Bytes::from_static(b"/"),
            version: Version::HTTP_11,
            headers,
        }
    }

    fn forwarding(trusted_hops: u32) -> Forwarding {
        Forwarding::new(trusted_hops, IpAddr::from([10, 0, 0, 9]), Scheme::Http)
    }

    fn all<'a>(head: &'a RequestHead, name: &'static str) -> Vec<&'a str> {
        let name = HeaderName::from_static(name);
        head.headers.iter().filter(|(it, _)| **it == name).map(|(_, it)| it.to_str().expect("ASCII")).collect()
    }

    #[test]
    fn without_trusted_hops_every_claim_is_replaced() {
        let mut head = head(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-prefix", "/admin"),
            ("forwarded", "for=1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("accept", "*/*"),
        ]);
        let client = forwarding(0).apply(&mut head);
        assert_eq!(client, Client { address: IpAddr::from([10, 0, 0, 9]), scheme: Scheme::Http });
        let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["accept", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]);
        assert_eq!(all(&head, "x-forwarded-for"), ["10.0.0.9"]);
        assert_eq!(all(&head, "x-forwarded-proto"), ["http"]);
        assert_eq!(all(&head, "x-forwarded-host"), ["example.com:8080"]);
    }

    #[test]
    fn the_client_is_what_the_outermost_trusted_hop_saw() {
        for (hops, chain, client) in [
            (1, vec!["1.1.1.1"], "1.1.1.1"),
            (1, vec!["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            (2, vec!["6.6.6.6, 1.1.1.1, 10.0.0.1"], "1.1.1.1"),
            (2, vec!["6.6.6.6", "1.1.1.1", "10.0.0.1"], "1.1.1.1"),
            (2, vec!["1.1.1.1"], "10.0.0.9"),
            (1, vec![], "10.0.0.9"),
            (1, vec!["unknown"], "10.0.0.9"),
            (1, vec!["1.1.1.1:5000"], "1.1.1.1"),
            (1, vec!["[2001:db8::1]:5000"], "2001:db8::1"),
            (1, vec!["2001:db8::1"], "2001:db8::1"),
            (1, vec!["::ffff:1.1.1.1"], "1.1.1.1"),
        ] {
            let pairs: Vec<_> = chain.iter().map(|value| ("x-forwarded-for", *value)).collect();
            let actual = forwarding(hops).apply(&mut head(&pairs)).address;
            assert_eq!(actual, client.parse::<IpAddr>().expect("address"), "{hops} {chain:?}");
        }
    }

    #[test]
    fn a_trusted_chain_is_extended() {
        let mut head = head(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "www.example.org"),
            ("forwarded", "for=1.1.1.1;proto=https"),
        ]);
        let client = forwarding(1).apply(&mut head);
        assert_eq!(client, Client { address: IpAddr::from([1, 1, 1, 1]), scheme: Scheme::Https });
        assert_eq!(all(&head, "x-forwarded-for"), ["6.6.6.6, 1.1.1.1, 10.0.0.9"]);
        assert_eq!(all(&head, "x-forwarded-proto"), ["https"]);
        assert_eq!(all(&head, "x-forwarded-host"), ["www.example.org"]);
        assert_eq!(
            all(&head, "forwarded"),
            ["for=1.1.1.1;proto=https, for=10.0.0.9;proto=http;host=\"example.com:8080\""]
        );
    }

    #[test]
    fn forwarded_is_read_where_x_forwarded_for_is_absent() {
        for (value, client) in [
            ("for=1.1.1.1", "1.1.1.1"),
            ("For=\"1.1.1.1:80\";proto=http", "1.1.1.1"),
            ("proto=http; for=\"[2001:db8::1]:80\"", "2001:db8::1"),
            ("for=6.6.6.6, host=\"a,b;c\";for=1.1.1.1", "1.1.1.1"),
            ("for=_hidden", "10.0.0.9"),
        ] {
            let actual = forwarding(1).apply(&mut head(&[("forwarded", value)])).address;
            assert_eq!(actual, client.parse::<IpAddr>().expect("address"), "{value}");
        }
    }

    #[test]
    fn an_unclear_scheme_is_the_connections_own() {
        for values in [vec!["ftp"], vec!["https", "http"], vec!["https, http"], vec![]] {
            let pairs: Vec<_> = values.iter().map(|value| ("x-forwarded-proto", *value)).collect();
            let mut head = head(&pairs);
            assert_eq!(forwarding(1).apply(&mut head).scheme, Scheme::Http, "{values:?}");
            assert_eq!(all(&head, "x-forwarded-proto"), ["http"], "{values:?}");
        }
    }
}
