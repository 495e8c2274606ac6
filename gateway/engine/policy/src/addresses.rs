//! Sets of address blocks: looked up by length, so that thousands cost little more than one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

/// An address as a number, with its family. IPv4 inside IPv6 is IPv4.
fn number(address: IpAddr) -> (bool, u128) {
    match address.to_canonical() {
        IpAddr::V4(address) => (true, u128::from(u32::from(address)) << 96),
        IpAddr::V6(address) => (false, u128::from(address)),
    }
}

fn mask(length: u8) -> u128 {
    match length {
        0 => 0,
        length => u128::MAX << (128 - u32::from(length)),
    }
}

/// Blocks by family and length, with the networks of each.
#[derive(Debug, Default)]
pub struct AddressSet {
    blocks: BTreeMap<(bool, u8), HashSet<u128>>,
}

impl AddressSet {
    /// Texts that are no blocks match nothing; the table refuses them before.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for (key, network) in texts.into_iter().filter_map(parse) {
            set.blocks.entry(key).or_default().insert(network);
        }
        set
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let (is_v4, address) = number(address);
        self.blocks
            .iter()
            .any(|((family, length), networks)| *family == is_v4 && networks.contains(&(address & mask(*length))))
    }
}

/// What stands for address blocks, found by an address: by length as well, whatever their number.
#[derive(Debug, Default)]
pub struct AddressIndex {
    blocks: BTreeMap<(bool, u8), HashMap<u128, Vec<u32>>>,
}

impl AddressIndex {
    /// A text that is no block stands for no address; the table refuses it before.
    pub fn insert(&mut self, text: &str, value: u32) {
        let Some((key, network)) = parse(text) else { return };
        let values = self.blocks.entry(key).or_default().entry(network).or_default();
        if values.last() != Some(&value) {
            values.push(value);
        }
    }

    /// Values of the blocks that hold the address. One may come twice.
    pub fn covering(&self, address: IpAddr) -> impl Iterator<Item = u32> + '_ {
        let (is_v4, address) = number(address);
        let of_family = self.blocks.iter().filter(move |((family, _), _)| *family == is_v4);
        of_family.filter_map(move |((_, length), networks)| networks.get(&(address & mask(*length)))).flatten().copied()
    }
}

fn parse(text: &str) -> Option<((bool, u8), u128)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let (is_v4, value) = number(address);
    let most = if is_v4 { 32 } else { 128 };
    let length = match length {
        // A block that was written as IPv4 inside IPv6.
        Some(length) if is_v4 && address.is_ipv6() => length.checked_sub(96)?,
        Some(length) => length,
        None => most,
    };
    (length <= most).then_some(((is_v4, length), value & mask(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(blocks: &[&str], address: &str) -> bool {
        AddressSet::new(blocks.iter().copied()).contains(address.parse().expect("an address"))
    }

    #[test]
    fn an_index_finds_every_block_that_holds_an_address() {
        let mut index = AddressIndex::default();
        for (value, block) in ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "::/0", "10.1.0.0/16"].iter().enumerate() {
            index.insert(block, value as u32);
        }
        let covering = |address: &str| {
            let mut found: Vec<u32> = index.covering(address.parse().expect("an address")).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(covering("10.1.2.3"), [0, 1, 2, 4]);
        assert_eq!(covering("::ffff:10.9.9.9"), [0, 2]);
        assert_eq!(covering("192.0.2.1"), [2]);
        assert_eq!(covering("2001:db8::1"), [3]);
    }

    #[test]
    fn blocks_hold_their_addresses_and_no_others() {
        assert!(contains(&["10.1.0.0/16"], "10.1.255.255"));
        assert!(!contains(&["10.1.0.0/16"], "10.2.0.0"));
        assert!(contains(&["10.1.2.3/16"], "10.1.0.1"));
        assert!(contains(&["192.0.2.7"], "192.0.2.7"));
        assert!(!contains(&["192.0.2.7"], "192.0.2.8"));
        assert!(contains(&["0.0.0.0/0"], "203.0.113.9"));
        assert!(!contains(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(contains(&["2001:db8::/32"], "2001:db8:ffff::1"));
        assert!(!contains(&["2001:db8::/32"], "2001:db9::1"));
        assert!(contains(&["::1"], "::1"));
        assert!(!contains(&[], "::1"));
    }

    #[test]
    fn ipv4_inside_ipv6_is_ipv4() {
        assert!(contains(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(contains(&["::ffff:10.0.0.0/104"], "10.1.2.3"));
        assert!(!contains(&["::/0"], "10.1.2.3"));
    }
}
