//! Decisions and the guard, on policies as a table brings them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use sekisho_egress::{
    Caller, Denial, Destination, Host, OwnAddresses, Policies, PolicySet, Prohibited, Protocol, Request, Verdict,
};
use sekisho_policy::Peer;
use sekisho_table::EgressPolicy;

fn set(policies: &[&str]) -> PolicySet {
    let parsed = policies.iter().map(|text| {
        let policy: EgressPolicy = serde_json::from_str(text).expect("a policy");
        (policy.key.clone(), Arc::new(policy))
    });
    let table: BTreeMap<String, Arc<EgressPolicy>> = parsed.collect();
    let keys: Vec<String> = table.keys().cloned().collect();
    PolicySet::of(&keys, &Policies::compile(&table, &Policies::default()))
}

fn caller(principal: Option<&str>) -> Caller {
    let peer = principal.and_then(|text| Peer::new(&format!("spiffe://{text}"))).map(Box::new);
    Caller { peer, ..Caller::at(address("10.1.0.1")) }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

struct Asked {
    caller: Caller,
    host: Host,
    port: u16,
}

fn asked(host: &str, port: u16, principal: Option<&str>) -> Asked {
    Asked { caller: caller(principal), host: Host::parse(host).expect("a host"), port }
}

impl Asked {
    fn request(&self) -> Request<'_> {
        let destination = Destination { host: &self.host, port: self.port };
        Request { caller: &self.caller, destination, protocol: Protocol::Tls }
    }

    fn verdict(&self, set: &PolicySet) -> Verdict {
        set.decide(&self.request()).verdict
    }

    /// The class of the first address that may not be dialled, and whether it is the gateway's own.
    fn prohibited(&self, set: &PolicySet, addresses: &[&str]) -> Option<String> {
        let request = self.request();
        let decision = set.decide(&request);
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| address(text)).collect();
        let own: OwnAddresses = [address("203.0.114.1")].into_iter().collect();
        match set.vet(&request, &decision, &addresses, &own) {
            Ok(_) => None,
            Err(Prohibited::Address { address, .. }) => Some(address.to_string()),
            Err(Prohibited::Rule(rule)) => Some(format!("rule {}", rule.name())),
        }
    }
}

const ALLOW: &str = r#"{"key": "a/allow", "rules": [
    {"name": "all", "destinations": [{"names": ["**.ok.example", "ok.example"]}]},
    {"name": "ten", "destinations": [{"names": ["in.example"]}], "address_blocks": ["10.0.0.0/8", "169.254.169.254"]}]}"#;
const DENY: &str = r#"{"key": "b/deny", "rules": [
    {"name": "no", "action": "Deny", "destinations": [{"names": ["bad.ok.example"]}]},
    {"name": "range", "action": "Deny", "destinations": [{"ip_blocks": ["198.51.101.0/24"]}]}]}"#;

#[test]
fn without_policies_and_without_a_match_nothing_goes_out() {
    let nothing = Verdict::Deny(Denial::NothingAllows);
    assert_eq!(asked("ok.example", 443, None).verdict(&set(&[])), nothing);
    let set = set(&[ALLOW]);
    assert_eq!(asked("ok.example", 443, None).verdict(&set), Verdict::Allow);
    for (host, port) in [("evil.example", 443), ("ok.example", 22), ("93.184.216.34", 443), ("xok.example", 443)] {
        assert_eq!(asked(host, port, None).verdict(&set), nothing, "{host}:{port}");
    }
}

#[test]
fn a_denial_wins_in_whatever_order_policies_stand() {
    for policies in [[ALLOW, DENY], [DENY, ALLOW]] {
        assert_eq!(asked("bad.ok.example", 443, None).verdict(&set(&policies)), Verdict::Deny(Denial::Rule));
    }
}

#[test]
fn a_policy_that_is_missing_or_refused_denies_what_another_allows() {
    let policy: EgressPolicy = serde_json::from_str(ALLOW).expect("a policy");
    let table = BTreeMap::from([(policy.key.clone(), Arc::new(policy))]);
    let keys = ["a/allow".to_owned(), "a/gone".to_owned()];
    let missing = PolicySet::of(&keys, &Policies::compile(&table, &Policies::default()));
    assert_eq!(asked("ok.example", 443, None).verdict(&missing), Verdict::Deny(Denial::PolicyMissing));
    let refused = set(&[ALLOW, r#"{"key": "a/typo", "refusal": "spec: not understood"}"#]);
    assert_eq!(asked("ok.example", 443, None).verdict(&refused), Verdict::Deny(Denial::PolicyRefused));
}

#[test]
fn what_a_team_says_is_for_its_own_identities() {
    let team = r#"{"key": "shop/own", "confined_to": "shop", "rules": [
        {"name": "api", "destinations": [{"names": ["api.example"]}]}]}"#;
    let set = set(&[team]);
    let verdict = |principal| asked("api.example", 443, principal).verdict(&set);
    assert_eq!(verdict(Some("cluster.local/ns/shop/sa/web")), Verdict::Allow);
    assert_eq!(verdict(Some("cluster.local/ns/other/sa/web")), Verdict::Deny(Denial::NothingAllows));
    assert_eq!(verdict(None), Verdict::Deny(Denial::NothingAllows));
}

#[test]
fn one_address_that_may_not_be_dialled_denies_the_answer() {
    let set = set(&[ALLOW]);
    let ok = asked("ok.example", 443, None);
    assert_eq!(ok.prohibited(&set, &["93.184.216.34", "2606:4700::1111"]), None);
    for address in ["10.0.0.1", "169.254.169.254", "127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "203.0.114.1"] {
        assert_eq!(ok.prohibited(&set, &["93.184.216.34", address]), Some(self::address(address).to_string()));
    }
}

#[test]
fn a_range_permits_what_is_in_it_and_metadata_alone_by_its_address() {
    let set = set(&[ALLOW]);
    let inside = asked("in.example", 443, None);
    assert_eq!(inside.prohibited(&set, &["10.3.2.1", "169.254.169.254"]), None);
    assert_eq!(inside.prohibited(&set, &["192.168.0.1"]), Some("192.168.0.1".to_owned()));
    let wide = self::set(&[r#"{"key": "a/wide", "rules": [
        {"name": "wide", "destinations": [{"names": ["in.example"]}], "address_blocks": ["0.0.0.0/0"]}]}"#]);
    assert_eq!(inside.prohibited(&wide, &["192.168.0.1"]), None);
    assert_eq!(inside.prohibited(&wide, &["169.254.169.254"]), Some("169.254.169.254".to_owned()));
    assert_eq!(inside.prohibited(&wide, &["203.0.114.1"]), Some("203.0.114.1".to_owned()), "the gateway itself");
}

#[test]
fn a_denied_range_holds_for_names_that_resolve_into_it() {
    let set = set(&[ALLOW, DENY]);
    let ok = asked("ok.example", 443, None);
    assert_eq!(ok.prohibited(&set, &["198.51.101.7"]), Some("rule range".to_owned()));
}

#[test]
fn a_denied_address_and_the_gateway_s_own_are_what_they_are_inside_ipv6_too() {
    let set = set(&[ALLOW, DENY]);
    let ok = asked("ok.example", 443, None);
    // NAT64, 6to4, translated and ISATAP; then Teredo, as its client and as its server.
    let denied = ["64:ff9b::c633:6507", "2002:c633:6507::1", "::ffff:0:198.51.101.7", "2606:4700::5efe:198.51.101.7"];
    for address in denied.iter().chain(&["2001:0:808:808:0:0:39cc:9af8", "2001:0:c633:6507:0:0:f7f7:f7f7"]) {
        assert_eq!(ok.prohibited(&set, &[address]), Some("rule range".to_owned()), "{address}");
    }
    for address in ["64:ff9b::203.0.114.1", "2002:cb00:7201::1", "2001:0:808:808:0:0:34ff:8dfe"] {
        let own = self::address(address).to_string();
        assert_eq!(ok.prohibited(&set, &[address]), Some(own), "{address}");
    }
    assert_eq!(ok.prohibited(&set, &["64:ff9b::808:808"]), None);
}

#[test]
fn report_mode_lets_a_name_through_and_no_address() {
    let set = set(&[r#"{"key": "a/trial", "mode": "Report", "rules": [
        {"name": "one", "destinations": [{"names": ["one.example"]}]}]}"#]);
    let other = asked("other.example", 443, None);
    let decision = set.decide(&other.request());
    assert_eq!((decision.verdict, decision.would_deny), (Verdict::Allow, true));
    assert_eq!(other.prohibited(&set, &["10.0.0.1"]), Some("10.0.0.1".to_owned()));
}

#[test]
fn a_rule_s_places_are_given_back() {
    let set = set(&[r#"{"key": "a/few", "rules": [
        {"name": "few", "destinations": [{"names": ["ok.example"]}], "limits": {"connections": 2}}]}"#]);
    let ok = asked("ok.example", 443, None);
    let decision = set.decide(&ok.request());
    let grant = set.vet(&ok.request(), &decision, &[address("93.184.216.34")], &OwnAddresses::default());
    let rule = grant.ok().and_then(|grant| grant.rule).expect("a rule");
    let (first, _second) = (rule.admit().expect("one"), rule.admit().expect("two"));
    assert!(rule.admit().is_none());
    drop(first);
    assert!(rule.admit().is_some());
}
