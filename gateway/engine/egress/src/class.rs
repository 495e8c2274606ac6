//! What kind of address an address is (IANA special-purpose registries, RFC 6890).
//!
//! An IPv6 address that carries an IPv4 address is of that one's kind: mapped and compatible (RFC 4291, 2.5.5), NAT64
//! (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380) and ISATAP (RFC 5214).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    Public,
    Unspecified,
    Loopback,
    Private,
    LinkLocal,
    /// Carrier-grade NAT, where some clouds keep their metadata service (RFC 6598).
    Shared,
    /// Of a metadata service by itself: it counts as allowed only where it is named alone.
    Metadata,
    Multicast,
    Documentation,
    Benchmarking,
    Reserved,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Shared => "carrier-grade NAT",
            Self::Metadata => "cloud metadata",
            Self::Multicast => "multicast",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Reserved => "reserved",
        }
    }
}

pub fn classify(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    }
}

/// Of Amazon (instance, task, pod), Alibaba, Azure's host and Oracle.
const METADATA_V4: [[u8; 4]; 6] = [
    [169, 254, 169, 254],
    [169, 254, 170, 2],
    [169, 254, 170, 23],
    [100, 100, 100, 200],
    [168, 63, 129, 16],
    [192, 0, 0, 192],
];

fn class_v4(address: Ipv4Addr) -> Class {
    let octets = address.octets();
    if METADATA_V4.contains(&octets) {
        return Class::Metadata;
    }
    match octets {
        [0, 0, 0, 0] => Class::Unspecified,
        [0, ..] => Class::Reserved,
        [10, ..] | [192, 168, ..] => Class::Private,
        [172, second, ..] if second & 0xf0 == 16 => Class::Private,
        [127, ..] => Class::Loopback,
        [169, 254, ..] => Class::LinkLocal,
        [100, second, ..] if second & 0xc0 == 64 => Class::Shared,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Class::Documentation,
        [198, 18 | 19, ..] => Class::Benchmarking,
        // Protocol assignments, the relay of 6to4 that is no more, and AS112.
        [192, 0, 0, _] | [192, 88, 99, _] | [192, 31, 196, _] | [192, 52, 193, _] | [192, 175, 48, _] => {
            Class::Reserved
        }
        [224..=239, ..] => Class::Multicast,
        [240..=255, ..] => Class::Reserved,
        _ => Class::Public,
    }
}

/// Of Amazon (instance, pod) and Google.
const METADATA_V6: [[u16; 8]; 3] =
    [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]];

fn class_v6(address: Ipv6Addr) -> Class {
    if address.is_unspecified() {
        return Class::Unspecified;
    }
    if address.is_loopback() {
        return Class::Loopback;
    }
    let segments = address.segments();
    if METADATA_V6.contains(&segments) {
        return Class::Metadata;
    }
    if let [Some(inner), other] = carried(&segments) {
        // One that is not public is enough.
        return match (class_v4(inner), other) {
            (Class::Public, Some(other)) => class_v4(other),
            (class, _) => class,
        };
    }
    match segments {
        // NAT64 of this network alone (RFC 8215): where in it the address stands is the operator's choice.
        [0x64, 0xff9b, 1, ..] => Class::Private,
        [first, ..] if first & 0xfe00 == 0xfc00 => Class::Private,
        [first, ..] if first & 0xffc0 == 0xfe80 => Class::LinkLocal,
        // Site-local, which is no more (RFC 3879).
        [first, ..] if first & 0xffc0 == 0xfec0 => Class::Private,
        [first, ..] if first & 0xff00 == 0xff00 => Class::Multicast,
        [0x2001, 0xdb8, ..] => Class::Documentation,
        [0x3fff, second, ..] if second & 0xf000 == 0 => Class::Documentation,
        [0x2001, 2, 0, ..] => Class::Benchmarking,
        // The rest of the protocol assignments: ORCHID, drone identities and others.
        [0x2001, second, ..] if second < 0x200 => Class::Reserved,
        [0x100, 0, 0, ..] | [0x5f00, ..] => Class::Reserved,
        // Only 2000::/3 is given out for use on the internet (RFC 4291, 2.4).
        [first, ..] if first & 0xe000 == 0x2000 => Class::Public,
        _ => Class::Reserved,
    }
}

/// Every address that packets to one may end at: itself, and the IPv4 addresses that it carries.
pub(crate) fn ends_at(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let carried = match address {
        IpAddr::V4(_) => [None, None],
        IpAddr::V6(address) => carried(&address.segments()),
    };
    std::iter::once(address.to_canonical()).chain(carried.into_iter().flatten().map(IpAddr::V4))
}

/// The IPv4 addresses that an IPv6 address carries.
fn carried(segments: &[u16; 8]) -> [Option<Ipv4Addr>; 2] {
    let of = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let one = match *segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => of(high, low),
        // Translated (RFC 2765), as some stacks still write it.
        [0, 0, 0, 0, 0xffff, 0, high, low] => of(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        // The client's address is inverted; the server's may as well be the one that answers.
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            return [Some(of(!high, !low)), Some(of(server_high, server_low))];
        }
        [.., 0 | 0x200, 0x5efe, high, low] => of(high, low),
        _ => return [None, None],
    };
    [Some(one), None]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_is_known() {
        let cases = [
            ("8.8.8.8", Class::Public),
            ("0.0.0.0", Class::Unspecified),
            ("0.1.2.3", Class::Reserved),
            ("10.255.0.1", Class::Private),
            ("172.15.255.255", Class::Public),
            ("172.16.0.1", Class::Private),
            ("172.31.255.255", Class::Private),
            ("172.32.0.0", Class::Public),
            ("192.168.1.1", Class::Private),
            ("127.0.0.1", Class::Loopback),
            ("127.255.255.254", Class::Loopback),
            ("169.254.1.1", Class::LinkLocal),
            ("169.254.169.254", Class::Metadata),
            ("169.254.170.2", Class::Metadata),
            ("100.100.100.200", Class::Metadata),
            ("168.63.129.16", Class::Metadata),
            ("100.63.255.255", Class::Public),
            ("100.64.0.1", Class::Shared),
            ("100.127.255.255", Class::Shared),
            ("100.128.0.0", Class::Public),
            ("192.0.2.1", Class::Documentation),
            ("198.51.100.1", Class::Documentation),
            ("203.0.113.1", Class::Documentation),
            ("198.18.0.1", Class::Benchmarking),
            ("198.20.0.0", Class::Public),
            ("192.0.0.1", Class::Reserved),
            ("192.88.99.1", Class::Reserved),
            ("224.0.0.1", Class::Multicast),
            ("239.255.255.255", Class::Multicast),
            ("240.0.0.1", Class::Reserved),
            ("255.255.255.255", Class::Reserved),
            ("2606:4700::1", Class::Public),
            ("::", Class::Unspecified),
            ("::1", Class::Loopback),
            ("fc00::1", Class::Private),
            ("fd12:3456::1", Class::Private),
            ("fd00:ec2::254", Class::Metadata),
            ("fe80::1", Class::LinkLocal),
            ("fec0::1", Class::Private),
            ("ff02::1", Class::Multicast),
            ("2001:db8::1", Class::Documentation),
            ("3fff::1", Class::Documentation),
            ("2001:2::1", Class::Benchmarking),
            ("2001:20::1", Class::Reserved),
            ("100::1", Class::Reserved),
            ("4000::1", Class::Reserved),
            ("64:ff9b:1::a00:1", Class::Private),
        ];
        for (text, class) in cases {
            assert_eq!(classify(text.parse().expect("an address")), class, "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_inside_is_what_counts() {
        let cases = [
            ("::ffff:10.0.0.1", Class::Private),
            ("::ffff:8.8.8.8", Class::Public),
            ("::127.0.0.1", Class::Loopback),
            ("::ffff:0:169.254.169.254", Class::Metadata),
            ("64:ff9b::169.254.169.254", Class::Metadata),
            ("64:ff9b::a00:1", Class::Private),
            ("64:ff9b::808:808", Class::Public),
            ("2002:7f00:1::", Class::Loopback),
            ("2002:a9fe:a9fe::1", Class::Metadata),
            // Teredo: the client 192.168.0.1, inverted; then the server 10.0.0.1.
            ("2001:0:808:808:0:0:3f57:fffe", Class::Private),
            ("2001:0:a00:1:0:0:f7f7:f7f7", Class::Private),
            ("2606:4700::5efe:10.0.0.1", Class::Private),
            ("fe80::200:5efe:192.168.0.1", Class::Private),
        ];
        for (text, class) in cases {
            assert_eq!(classify(text.parse().expect("an address")), class, "{text}");
        }
    }
}
