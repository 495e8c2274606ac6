//! Decisions on policies at random are those of a reference that looks at every rule of every policy, one by one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use sekisho_egress::{Caller, Credential, Denial, Destination, Host, Policies, PolicySet, Protocol, Request, Verdict};
use sekisho_policy::{AddressSet, Peer};
use sekisho_table::{
    EgressAction, EgressCredential, EgressDestination, EgressMode, EgressPolicy, EgressProtocol, EgressRule,
    EgressSource,
};

/// The same numbers each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn one<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.roll(values.len())]
    }

    /// None of them mostly.
    fn seldom<T: Copy>(&mut self, values: &[T]) -> Vec<T> {
        (0..self.roll(4).saturating_sub(1)).map(|_| self.one(values)).collect()
    }
}

const PATTERNS: [&str; 13] = [
    "*",
    "**.example",
    "*.example",
    "example",
    "a.example",
    "*.a.example",
    "**.a.example",
    "x.a.example",
    "xn--bcher-kva.example",
    "*.xn--bcher-kva.example",
    "y.x.a.example",
    "**.x.a.example",
    "other.test",
];
/// As clients write them.
const HOSTS: [&str; 16] = [
    "example",
    "a.example",
    "A.Example.",
    "b.example",
    "x.a.example",
    "X.a.EXAMPLE",
    "y.x.a.example",
    "z.y.x.a.example.",
    "xn--bcher-kva.example",
    "www.XN--BCHER-KVA.example",
    "other.test",
    "x.other.test",
    "aexample",
    "10.1.2.3",
    "192.0.2.1",
    "[2001:db8::1]",
];
const BLOCKS: [&str; 4] = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "2001:db8::/32"];
const PORTS: [u16; 8] = [80, 443, 8080, 8443, 22, 25, 53, 0];
const PRINCIPALS: [&str; 2] = ["mesh/ns/shop/sa/web", "mesh/ns/bank/sa/pay"];

fn texts(values: Vec<&str>) -> Vec<String> {
    values.into_iter().map(str::to_owned).collect()
}

fn source(dice: &mut Dice) -> EgressSource {
    let credential = |user: &str| EgressCredential { user: user.to_owned(), sha256: "00".repeat(32) };
    let credentials = if dice.roll(4) == 0 { vec![credential("ci"), credential("cd")] } else { Vec::new() };
    EgressSource {
        principals: texts(dice.seldom(&PRINCIPALS)),
        namespaces: texts(dice.seldom(&["shop", "bank"])),
        service_accounts: Vec::new(),
        subject_alt_names: Vec::new(),
        credentials,
        ip_blocks: texts(dice.seldom(&["10.0.0.0/8", "::/0"])),
    }
}

fn rule(dice: &mut Dice, number: usize) -> EgressRule {
    let destination = |dice: &mut Dice| EgressDestination {
        names: texts((0..dice.roll(4)).map(|_| dice.one(&PATTERNS)).collect()),
        ip_blocks: texts(dice.seldom(&BLOCKS)),
        ports: (0..dice.one(&[0, 0, 1, 2, 6])).map(|_| dice.one(&PORTS)).collect(),
        protocols: dice.seldom(&[EgressProtocol::Http, EgressProtocol::Tls, EgressProtocol::Tcp]),
        methods: texts(dice.seldom(&["GET", "POST"])),
        path_prefixes: texts(dice.seldom(&["/", "/v1", "/v1/"])),
    };
    EgressRule {
        name: format!("rule-{number}"),
        action: if dice.roll(4) == 0 { EgressAction::Deny } else { EgressAction::Allow },
        sources: (0..dice.roll(3)).map(|_| source(dice)).collect(),
        destinations: (0..1 + dice.roll(2)).map(|_| destination(dice)).collect(),
        address_blocks: Vec::new(),
        encrypted_client_hello: false,
        limits: Default::default(),
    }
}

fn policies(dice: &mut Dice) -> BTreeMap<String, Arc<EgressPolicy>> {
    let policy = |number: usize| {
        let key = format!("policy-{number}");
        let policy = EgressPolicy {
            key: key.clone(),
            mode: if dice.roll(4) == 0 { EgressMode::Report } else { EgressMode::Enforce },
            rules: (0..dice.roll(4)).map(|number| rule(dice, number)).collect(),
            confined_to: dice.one(&["", "", "shop", "bank"]).to_owned(),
            contact: format!("owner-{number}"),
            refusal: if dice.roll(40) == 0 { "not understood".to_owned() } else { String::new() },
        };
        (key, Arc::new(policy))
    };
    (0..5).map(policy).collect()
}

fn caller(dice: &mut Dice) -> Caller {
    let peer = dice.seldom(&PRINCIPALS).first().and_then(|principal| Peer::new(&format!("spiffe://{principal}")));
    let users = dice.seldom(&["ci", "cx"]);
    let credential = users.first().map(|user| Credential { user: (*user).into(), digest: [0; 32] });
    let address: IpAddr = dice.one(&["10.1.1.1", "192.0.2.9", "2001:db8::9"]).parse().expect("an address");
    Caller { peer: peer.map(Box::new), credential, ..Caller::at(address) }
}

fn covers(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), name.split('.').collect());
    if pattern == ["*"] {
        return true;
    }
    let wild = pattern.remove(0);
    let above = name.len().saturating_sub(pattern.len());
    match wild {
        "*" => above == 1 && name.split_off(above) == pattern,
        "**" => above >= 1 && name.split_off(above) == pattern,
        first => above == 1 && name.remove(0) == first && name == pattern,
    }
}

fn has_source(source: &EgressSource, caller: &Caller) -> bool {
    let (peer, credential) = (caller.peer.as_deref(), caller.credential.as_ref());
    let among = |values: &[String], shown: Option<&str>| {
        values.is_empty() || shown.is_some_and(|shown| values.iter().any(|value| value == shown))
    };
    among(&source.principals, peer.map(Peer::principal))
        && among(&source.namespaces, peer.and_then(Peer::namespace))
        && (source.credentials.is_empty()
            || credential.is_some_and(|shown| source.credentials.iter().any(|known| *known.user == *shown.user)))
        && (source.ip_blocks.is_empty() || within(&source.ip_blocks, caller.address))
}

fn within(blocks: &[String], address: IpAddr) -> bool {
    AddressSet::new(blocks.iter().map(String::as_str)).contains(address)
}

fn concerns(policy: &EgressPolicy, caller: &Caller) -> bool {
    policy.confined_to.is_empty()
        || caller.peer.as_deref().and_then(Peer::namespace) == Some(policy.confined_to.as_str())
}

fn speaks_of(rule: &EgressRule, caller: &Caller) -> bool {
    rule.sources.is_empty() || rule.sources.iter().any(|source| has_source(source, caller))
}

fn leads_to(rule: &EgressRule, destination: &EgressDestination, request: &Request<'_>) -> bool {
    let denies = rule.action == EgressAction::Deny;
    let host = match request.destination.host {
        Host::Name(name) => destination.names.iter().any(|pattern| covers(pattern, name)),
        Host::Address(address) => within(&destination.ip_blocks, *address),
    };
    let (port, methods, prefixes) = (request.destination.port, &destination.methods, &destination.path_prefixes);
    let is_http = matches!(request.protocol, Protocol::Http { .. });
    let usual = port == 443 || (port == 80 && is_http);
    let has_port = if destination.ports.is_empty() { denies || usual } else { destination.ports.contains(&port) };
    let has_protocol = destination.protocols.is_empty()
        || destination.protocols.iter().any(|protocol| (*protocol == EgressProtocol::Http) == is_http);
    let has_request = match request.protocol {
        Protocol::Http { method, path } => {
            let path = format!("{path}/");
            let under = |prefix: &String| path.starts_with(&format!("{}/", prefix.trim_end_matches('/')));
            (methods.is_empty() || methods.iter().any(|known| known == method))
                && (prefixes.is_empty() || prefixes.iter().any(under))
        }
        Protocol::Tunnel | Protocol::Tls => denies || (methods.is_empty() && prefixes.is_empty()),
    };
    host && has_port && has_protocol && has_request
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    verdict: Verdict,
    policy: Option<String>,
    rule: Option<String>,
    mode: EgressMode,
    would_deny: bool,
    contact: String,
}

/// What must come of it.
fn reference(policies: &BTreeMap<String, Arc<EgressPolicy>>, request: &Request<'_>) -> Outcome {
    let caller = request.caller;
    let outcome = |verdict, policy: Option<&EgressPolicy>, rule: Option<&EgressRule>, would_deny| Outcome {
        verdict,
        policy: policy.map(|policy| policy.key.clone()),
        rule: rule.map(|rule| rule.name.clone()),
        mode: match policy {
            Some(policy) if verdict == Verdict::Allow => policy.mode,
            _ => EgressMode::Enforce,
        },
        would_deny,
        contact: policy.filter(|_| verdict != Verdict::Allow).map(|policy| policy.contact.clone()).unwrap_or_default(),
    };
    let concerned: Vec<&EgressPolicy> =
        policies.values().map(|policy| &**policy).filter(|policy| concerns(policy, caller)).collect();
    if let Some(policy) = concerned.iter().find(|policy| !policy.refusal.is_empty()) {
        return outcome(Verdict::Deny(Denial::PolicyRefused), Some(policy), None, false);
    }
    let rules = concerned.iter().flat_map(|policy| policy.rules.iter().map(move |rule| (*policy, rule)));
    let leads = |rule: &EgressRule| rule.destinations.iter().any(|destination| leads_to(rule, destination, request));
    let matching: Vec<(&EgressPolicy, &EgressRule)> =
        rules.filter(|(_, rule)| speaks_of(rule, caller) && leads(rule)).collect();
    let first = |action, mode| {
        let mut of = matching.iter().filter(|(policy, rule)| rule.action == action && policy.mode == mode);
        of.next().copied()
    };
    if let Some((policy, rule)) = first(EgressAction::Deny, EgressMode::Enforce) {
        return outcome(Verdict::Deny(Denial::Rule), Some(policy), Some(rule), false);
    }
    if let Some((policy, rule)) = first(EgressAction::Deny, EgressMode::Report) {
        return outcome(Verdict::Allow, Some(policy), Some(rule), true);
    }
    let carries_anything = |rule: &EgressRule| {
        let of_tcp = |it: &&EgressDestination| it.protocols.contains(&EgressProtocol::Tcp);
        rule.destinations.iter().filter(of_tcp).any(|destination| leads_to(rule, destination, request))
    };
    let allows = |mode| {
        let opaque = matching
            .iter()
            .find(|(policy, rule)| rule.action == EgressAction::Allow && policy.mode == mode && carries_anything(rule));
        let is_tunnel = matches!(request.protocol, Protocol::Tunnel);
        opaque.copied().filter(|_| is_tunnel).or_else(|| first(EgressAction::Allow, mode))
    };
    let allowing = allows(EgressMode::Enforce).or_else(|| allows(EgressMode::Report));
    if let Some((policy, rule)) = allowing {
        return outcome(Verdict::Allow, Some(policy), Some(rule), false);
    }
    let under: Vec<&EgressPolicy> =
        concerned.into_iter().filter(|policy| policy.rules.iter().any(|rule| speaks_of(rule, caller))).collect();
    match under.iter().find(|policy| policy.mode == EgressMode::Report) {
        Some(policy) => outcome(Verdict::Allow, Some(policy), None, true),
        None => outcome(Verdict::Deny(Denial::NothingAllows), under.first().copied(), None, false),
    }
}

fn protocol(dice: &mut Dice) -> Protocol<'static> {
    match dice.roll(4) {
        0 => Protocol::Tunnel,
        1 => Protocol::Tls,
        _ => {
            Protocol::Http { method: dice.one(&["GET", "POST", "PUT"]), path: dice.one(&["/", "/v1", "/v1/x", "/v10"]) }
        }
    }
}

#[test]
fn a_decision_is_the_one_of_a_look_at_every_rule() {
    let mut dice = Dice(11);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut previous = Policies::default();
    for _ in 0..1_500 {
        let table = policies(&mut dice);
        let keys: Vec<String> = table.keys().cloned().collect();
        let policies = Policies::compile(&table, &previous);
        let set = PolicySet::of(&keys, &policies);
        for _ in 0..20 {
            let (caller, host) = (caller(&mut dice), Host::parse(dice.one(&HOSTS)).expect("a host"));
            let destination = Destination { host: &host, port: dice.one(&[80, 443, 443, 443, 8080, 22]) };
            let request = Request { caller: &caller, destination, protocol: protocol(&mut dice) };
            let decision = set.decide(&request);
            let outcome = Outcome {
                verdict: decision.verdict,
                policy: decision.policy().map(str::to_owned),
                rule: decision.rule().map(str::to_owned),
                mode: decision.mode,
                would_deny: decision.would_deny,
                contact: decision.contact().to_owned(),
            };
            let expected = reference(&table, &request);
            assert_eq!(outcome, expected, "{request:?} by {table:#?}");
            let (_, explained) = set.explain(&request);
            assert_eq!((explained.allowed, explained.policy), (outcome.verdict == Verdict::Allow, outcome.policy));
            *seen.entry(format!("{:?} {}", outcome.verdict, outcome.would_deny)).or_default() += 1;
        }
        previous = policies;
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen.values().all(|times| *times > 200), "every kind of decision is among them: {seen:?}");
}
