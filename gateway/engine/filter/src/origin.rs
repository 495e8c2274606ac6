//! Origins (Fetch standard, section 3.2; RFC 6454), and which of them a CORS rule names.

/// An origin as browsers write it, the scheme's port filled in.
pub struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
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

/// An origin of which the host may be a wildcard.
#[derive(Debug)]
pub struct OriginPattern {
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
    pub fn compile(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let Origin { scheme, host, port } = Origin::parse(&text)?;
        let host = match host.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(suffix) => HostPattern::Suffix(suffix.into()),
            None => HostPattern::Exact(host.into()),
        };
        Some(Self { scheme: scheme.into(), host, port })
    }

    pub fn accepts(&self, origin: &Origin<'_>) -> bool {
        let host = match &self.host {
            HostPattern::Any => true,
            HostPattern::Exact(host) => **host == *origin.host,
            HostPattern::Suffix(suffix) => origin.host.len() > suffix.len() && origin.host.ends_with(&**suffix),
        };
        host && *self.scheme == *origin.scheme && self.port == origin.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_match_by_scheme_host_and_port() {
        for (pattern, origin, allowed) in [
            ("https://a.com", "https://a.com", true),
            ("https://a.com", "https://a.com:443", true),
            ("https://a.com:443", "https://a.com", true),
            ("https://A.com", "https://a.com", true),
            ("https://a.com", "http://a.com", false),
            ("https://a.com", "https://a.com:8443", false),
            ("https://a.com", "https://a.com.evil.com", false),
            ("https://a.com", "https://evila.com", false),
            ("https://a.com", "null", false),
            ("https://*.a.com", "https://www.a.com", true),
            ("https://*.a.com", "https://x.www.a.com", true),
            ("https://*.a.com", "https://a.com", false),
            ("https://*.a.com", "https://.a.com", false),
            ("https://*.a.com", "https://evila.com", false),
            ("https://*.a.com", "https://a.com.evil.com", false),
            ("https://*.a.com", "https://www.a.com:8443", false),
            ("https://*.a.com:8443", "https://www.a.com:8443", true),
            ("http://*", "http://anything.org", true),
            ("http://*", "https://anything.org", false),
            ("http://[::1]:3000", "http://[::1]:3000", true),
        ] {
            let compiled = OriginPattern::compile(pattern).expect(pattern);
            let accepted = Origin::parse(origin).is_some_and(|origin| compiled.accepts(&origin));
            assert_eq!(accepted, allowed, "{pattern} {origin}");
        }
    }
}
