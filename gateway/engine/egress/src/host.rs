//! The one spelling of a destination's host.
//!
//! What two readers could take for different hosts is refused: other spellings of an IPv4 address than four decimal
//! numbers (`0x7f.1`, `2130706433`, `127.1`, `0177.0.0.1`), zones of IPv6 addresses, bytes that are no letters, digits
//! or marks, and names that are too long (RFC 1035, 2.3.4). Names in other scripts come as `xn--` (RFC 5890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Lower case, without the dot of a rooted name.
    Name(Box<str>),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    Empty,
    TooLong,
    /// A byte that no name holds, or a label that begins or ends with `-`.
    BadName,
    /// An address in a spelling that not everybody reads alike.
    AmbiguousAddress,
    Zone,
}

impl HostError {
    pub fn text(self) -> &'static str {
        match self {
            Self::Empty => "no host is named",
            Self::TooLong => "the host name is too long",
            Self::BadName => "the host is not a name; names in other scripts are written as xn--",
            Self::AmbiguousAddress => "the address is not written as four decimal numbers",
            Self::Zone => "an address with a zone is of this machine alone",
        }
    }
}

impl Host {
    /// `text`: without port; an IPv6 address may stand in brackets.
    pub fn parse(text: &str) -> Result<Host, HostError> {
        let bracketed = text.strip_prefix('[').map(|rest| rest.strip_suffix(']').ok_or(HostError::BadName));
        if let Some(inside) = bracketed {
            return address_v6(inside?);
        }
        if text.contains(':') {
            return address_v6(text);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name.len() > MAX_NAME {
            return Err(HostError::TooLong);
        }
        if let Some(address) = address_v4(name)? {
            // With a final dot it would be an address to some and a name to others.
            return if name.len() == text.len() {
                Ok(Host::Address(address))
            } else {
                Err(HostError::AmbiguousAddress)
            };
        }
        for label in name.split('.') {
            check_label(label)?;
        }
        Ok(Host::Name(name.to_ascii_lowercase().into()))
    }

    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(formatter),
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

fn address_v6(text: &str) -> Result<Host, HostError> {
    if text.contains('%') {
        return Err(HostError::Zone);
    }
    let address: Ipv6Addr = text.parse().map_err(|_| HostError::BadName)?;
    Ok(Host::Address(IpAddr::V6(address)))
}

/// `None` for a name. A last label of digits, or `0x` and digits, makes a text an address to resolvers and browsers
/// (WHATWG URL, 3.5), whatever stands before it.
fn address_v4(name: &str) -> Result<Option<IpAddr>, HostError> {
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_hexadecimal = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if !is_hexadecimal && !is_decimal {
        return Ok(None);
    }
    // The parser of the standard library takes four decimal numbers without leading zeros, and nothing else.
    let address: Ipv4Addr = name.parse().map_err(|_| HostError::AmbiguousAddress)?;
    Ok(Some(IpAddr::V4(address)))
}

fn check_label(label: &str) -> Result<(), HostError> {
    if label.len() > MAX_LABEL {
        return Err(HostError::TooLong);
    }
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if label.is_empty() || !label.bytes().all(is_good) || label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::BadName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<Host, HostError> {
        Ok(Host::Name(text.into()))
    }

    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(Host::parse("API.Example.COM."), name("api.example.com"));
        assert_eq!(Host::parse("xn--bcher-kva.example"), name("xn--bcher-kva.example"));
        assert_eq!(Host::parse("_srv.example"), name("_srv.example"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in
            ["a..b", ".a", "a.b..", "-a.b", "a-.b", "a b", "a\0b", "a\r\nb", "a%00b", "bücher.example", "a/b", "a@b"]
        {
            assert_eq!(Host::parse(text), Err(HostError::BadName), "{text:?}");
        }
        assert_eq!(Host::parse(""), Err(HostError::Empty));
        assert_eq!(Host::parse("."), Err(HostError::Empty));
        assert_eq!(Host::parse(&format!("{}.example", "a".repeat(64))), Err(HostError::TooLong));
        assert_eq!(Host::parse(&"a.".repeat(127)), name(&"a.".repeat(127)[..253]));
        assert_eq!(Host::parse(&format!("b{}", "a.".repeat(127))), Err(HostError::TooLong));
    }

    #[test]
    fn an_ipv4_address_is_four_decimal_numbers_and_nothing_else() {
        assert_eq!(Host::parse("192.0.2.1"), Ok(Host::Address(IpAddr::from([192, 0, 2, 1]))));
        for text in [
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.1",
            "127.0.1",
            "127.0.0.01",
            "017700000001",
            "127.0.0.0x1",
            "0x",
            "256.0.0.1",
            "1.2.3.4.5",
            "192.0.2.1.",
            "example.123",
            "example.0x1f",
            "0X7F.1",
        ] {
            assert_eq!(Host::parse(text), Err(HostError::AmbiguousAddress), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_has_no_zone() {
        assert_eq!(Host::parse("[2001:DB8::1]"), Ok(Host::Address("2001:db8::1".parse().expect("an address"))));
        assert_eq!(Host::parse("::1"), Ok(Host::Address("::1".parse().expect("an address"))));
        assert_eq!(Host::parse("[fe80::1%eth0]"), Err(HostError::Zone));
        assert_eq!(Host::parse("fe80::1%251"), Err(HostError::Zone));
        assert_eq!(Host::parse("[::1"), Err(HostError::BadName));
        assert_eq!(Host::parse("[127.0.0.1]"), Err(HostError::BadName));
    }
}
