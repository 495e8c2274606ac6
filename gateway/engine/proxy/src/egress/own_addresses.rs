//! Addresses of this machine (or network namespace), as Linux tells them. Elsewhere only those that listeners name are
//! known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub fn of_this_machine() -> Vec<IpAddr> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let mut addresses = local_v4(&read("/proc/net/fib_trie"));
    addresses.extend(interfaces_v6(&read("/proc/net/if_inet6")));
    addresses
}

/// An address stands on the line before the one that says what it is.
fn local_v4(trie: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("|-- ") {
            last = text.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last
        {
            addresses.push(IpAddr::V4(address));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn interfaces_v6(table: &str) -> Vec<IpAddr> {
    let words = table.lines().filter_map(|line| line.split_whitespace().next());
    words.filter_map(|word| Some(IpAddr::V6(Ipv6Addr::from(u128::from_str_radix(word, 16).ok()?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_found_and_networks_are_not() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.1.2.0\n        \
                    /24 link UNICAST\n     |-- 10.1.2.3\n        /32 host LOCAL\n     |-- 10.1.2.255\n        /32 link \
                    BROADCAST\n";
        assert_eq!(local_v4(trie), [IpAddr::from([10, 1, 2, 3])]);
    }

    #[test]
    fn addresses_of_interfaces_are_read() {
        let table = "fd000000000000000000000000000001 02 40 00 80 eth0\nnonsense\n";
        assert_eq!(interfaces_v6(table), ["fd00::1".parse::<IpAddr>().expect("an address")]);
    }
}
