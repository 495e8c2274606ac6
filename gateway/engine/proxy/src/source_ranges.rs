//! Which clients a rule answers, by their address: the filter `SourceRanges`.

use std::net::IpAddr;

use sekisho_policy::AddressSet;
use sekisho_table::Filter;

/// All filters of one rule.
#[derive(Debug)]
pub struct SourceRanges {
    /// Each must hold the client; `allow` of one filter.
    allow: Vec<AddressSet>,
    deny: AddressSet,
}

impl SourceRanges {
    /// `None` where no filter asks for it.
    pub fn of(filters: &[Filter]) -> Option<Box<SourceRanges>> {
        let ranges: Vec<_> = filters
            .iter()
            .filter_map(|filter| match filter {
                Filter::SourceRanges(ranges) => Some(ranges),
                _ => None,
            })
            .collect();
        if ranges.is_empty() {
            return None;
        }
        let named = ranges.iter().filter(|ranges| !ranges.allow.is_empty());
        let allow = named.map(|ranges| AddressSet::new(ranges.allow.iter().map(String::as_str))).collect();
        let deny = AddressSet::new(ranges.iter().flat_map(|ranges| &ranges.deny).map(String::as_str));
        Some(Box::new(SourceRanges { allow, deny }))
    }

    /// `client`: as far as hops are trusted.
    pub fn admits(&self, client: IpAddr) -> bool {
        !self.deny.contains(client) && self.allow.iter().all(|allowed| allowed.contains(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(filters: serde_json::Value, client: &str) -> bool {
        let filters: Vec<Filter> = serde_json::from_value(filters).expect("filters");
        SourceRanges::of(&filters).is_none_or(|ranges| ranges.admits(client.parse().expect("an address")))
    }

    #[test]
    fn a_client_is_in_what_is_allowed_and_not_in_what_is_denied() {
        let filters = serde_json::json!([
            {"type": "SourceRanges", "allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.6.0.0/16"]},
        ]);
        for (client, expected) in [
            ("10.1.2.3", true),
            ("10.6.0.1", false),
            ("192.0.2.1", false),
            ("2001:db8::7", true),
            ("2001:db9::7", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:10.6.2.3", false),
        ] {
            assert_eq!(admits(filters.clone(), client), expected, "{client}");
        }
    }

    #[test]
    fn what_is_denied_alone_lets_in_everybody_else_and_several_filters_must_agree() {
        assert!(admits(serde_json::json!([]), "192.0.2.1"));
        let deny = serde_json::json!({"type": "SourceRanges", "deny": ["192.0.2.0/24"]});
        assert!(!admits(serde_json::json!([deny]), "192.0.2.1"));
        assert!(admits(serde_json::json!([deny]), "198.51.100.1"));
        let both = serde_json::json!([deny, {"type": "SourceRanges", "allow": ["198.51.100.0/24"]}]);
        assert!(admits(both.clone(), "198.51.100.1"));
        assert!(!admits(both, "203.0.113.1"));
    }
}
