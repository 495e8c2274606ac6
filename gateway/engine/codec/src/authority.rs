//! Authorities: what `Host` and `:authority` may hold (RFC 9110, 7.2; RFC 3986, 3.2).
//!
//! Stricter than the grammar on purpose: a name is letters, digits, `-`, `_` and `.`; an address literal must be a real
//! IPv6 address. User information, escapes, lists and empty names are refused.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Splits an authority into its host (brackets kept) and its port; `None` when it is not a valid authority.
pub fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        let host = &authority[..address.len() + 2];
        return match after {
            "" => Some((host, None)),
            _ => Some((host, port(after.strip_prefix(':')?)?)),
        };
    }
    let (host, port_number) = match memchr::memchr(b':', authority.as_bytes()) {
        None => (authority, None),
        Some(colon) => (&authority[..colon], port(&authority[colon + 1..])?),
    };
    is_name(host).then_some((host, port_number))
}

/// The host in the form that matching uses: lower case, without the final dot of a rooted name.
pub fn host_lower(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

fn is_name(host: &str) -> bool {
    let mut previous = b'.';
    for byte in host.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {}
            // Also refuses a leading dot, because `previous` starts as one.
            b'.' if previous != b'.' => {}
            _ => return false,
        }
        previous = byte;
    }
    !host.is_empty()
}

/// `Some(None)` for an empty port, which the grammar allows and which means the default.
fn port(digits: &str) -> Option<Option<u16>> {
    if digits.is_empty() {
        return Some(None);
    }
    if digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Some)
}
