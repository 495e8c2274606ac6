//! Paths below a prefix: what surely is, for rules that allow, and what some server takes for it, for rules that deny.
//!
//! Paths come normalised ([`crate::Protocol::Http`]). Some servers decode `%2F` before they look, take a backslash for a
//! slash, or drop path parameters (`/admin;x`): RFC 3986, 3.3 leaves that to them.

/// By whole segments, as they are written.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// By whole segments, as a server could read them.
pub(crate) fn may_be_below(path: &str, prefix: &str) -> bool {
    if is_below(path, prefix) {
        return true;
    }
    let (path, prefix) = (decoded(path), decoded(prefix));
    let mut read = segments(&path);
    segments(&prefix).all(|wanted| read.next() == Some(wanted))
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = path.split(|byte| matches!(byte, b'/' | b'\\'));
    let plain = parts.map(|part| part.split(|byte| *byte == b';').next().unwrap_or(part));
    plain.filter(|segment| !matches!(*segment, b"" | b"."))
}

fn decoded(path: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut output = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        output.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_below_as_it_is_written() {
        for (path, prefix) in [("/v1", "/v1"), ("/v1/", "/v1"), ("/v1/a", "/v1/"), ("/", "/"), ("/a", "/")] {
            assert!(is_below(path, prefix), "{path} {prefix}");
        }
        for path in ["/v1%2Fa", "/v1;a", "/v12", "/V1", "/;/v1", "/"] {
            assert!(!is_below(path, "/v1"), "{path}");
        }
    }

    #[test]
    fn what_is_denied_is_below_as_anybody_may_read_it() {
        for path in [
            "/admin",
            "/admin/",
            "/admin/users",
            "/admin;x=1",
            "/admin;/users",
            "/admin%3Bx",
            "/admin%2Fusers",
            "/admin%5Cusers",
            "/admin\\users",
            "/%2Fadmin",
            "/;/admin",
            "/;x=1/admin",
            "/.;/admin",
            "/%61dmin",
        ] {
            assert!(may_be_below(path, "/admin"), "{path}");
        }
        for path in ["/administrator", "/public/admin", "/", "/admi", "/admin%20x", "/%admin"] {
            assert!(!may_be_below(path, "/admin"), "{path}");
        }
        assert!(may_be_below("/a%20b/c", "/a b") && may_be_below("/any", "/"));
    }
}
