//! What a decision costs as the policies grow: `cargo run --release -p sekisho-egress --example decision_cost`.
//!
//! Every policy has ten rules of five names, a wildcard among them, for a service account of its own. Prints
//! nanoseconds for each decision, the best of several rounds, what preparing and one change of a policy take, and
//! memory. Allowed decisions have the guard's word on one address; denied ones name the policy that the caller is under.
//! Ten destinations stand for what the size of the table costs by itself; all of them in turn also measure the
//! machine's caches, which hold little of a large table then.
//! With `--check` it fails where ten destinations among the most names cost over 1.2 of those among the fewest.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho_egress::{Caller, Destination, Host, OwnAddresses, Policies, PolicySet, Protocol, Request, Verdict};
use sekisho_policy::Peer;
use sekisho_table::{EgressDestination, EgressPolicy, EgressRule, EgressSource};

#[derive(Clone, Copy)]
struct Size {
    policies: usize,
    rules_of_each: usize,
}

impl Size {
    fn names(self) -> usize {
        self.policies * self.rules_of_each * NAMES
    }
}

/// Names of a rule.
const NAMES: usize = 5;
const SIZES: [(usize, usize); 5] = [(1, 2), (2, 10), (20, 10), (200, 10), (1_000, 10)];
/// Destinations that are asked for in turn, where not all of them are.
const FEW: usize = 10;
const ROUNDS: usize = 15;
const DECISIONS: usize = 51_200;
const BATCH: usize = 64;
const BOUND: f64 = 1.2;

fn main() -> ExitCode {
    println!("{:>8} {:>8} {:>12} {:>12} {:>12}", "", "", "10 of them", "all of them", "none of them");
    println!(
        "{:>8} {:>8} {:>12} {:>12} {:>12} {:>11} {:>10} {:>10}",
        "policies", "names", "allow ns", "allow ns", "deny ns", "prepare ms", "change ms", "memory MB"
    );
    let costs: Vec<[f64; 3]> =
        SIZES.iter().map(|&(policies, rules_of_each)| measure(Size { policies, rules_of_each })).collect();
    let mut holds = true;
    for (position, what) in ["10 of them", "all of them", "none of them"].into_iter().enumerate() {
        let growth = costs[costs.len() - 1][position] / costs[0][position];
        holds &= growth <= BOUND || position > 0;
        println!("{what}: a decision among the most names costs {growth:.2} of one among the fewest");
    }
    println!("at most {BOUND} is expected of the first: {}", if holds { "holds" } else { "DOES NOT HOLD" });
    let failed = !holds && std::env::args().any(|argument| argument == "--check");
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure(size: Size) -> [f64; 3] {
    let table = table(size);
    let keys: Vec<String> = table.keys().cloned().collect();
    let (before, started) = (resident_bytes(), Instant::now());
    let policies = Policies::compile(&table, &Policies::default());
    let set = PolicySet::of(&keys, &policies);
    let (prepared, memory) = (started.elapsed(), resident_bytes().saturating_sub(before));
    let names = size.names();
    let costs = [
        nanoseconds(&set, size, FEW, true),
        nanoseconds(&set, size, names, true),
        nanoseconds(&set, size, names, false),
    ];
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
    let [few, all, none] = costs;
    println!(
        "{:>8} {names:>8} {few:>12.0} {all:>12.0} {none:>12.0} {:>11.2} {:>10.2} {:>10.1}",
        size.policies,
        milliseconds(prepared),
        milliseconds(change(table, &keys, &policies)),
        memory as f64 / 1e6,
    );
    costs
}

/// Who asks and what for is at hand, as it is when it was just read from a connection: a batch is made, and then timed.
fn nanoseconds(set: &PolicySet, size: Size, asked: usize, allowed: bool) -> f64 {
    let (address, own) = ([IpAddr::from([93, 184, 216, 34])], OwnAddresses::default());
    let (mut best, mut turn) = (f64::MAX, 0);
    for _ in 0..ROUNDS {
        let mut spent = Duration::ZERO;
        for _ in 0..DECISIONS / BATCH {
            let batch: Vec<(Caller, Host)> = (0..BATCH)
                .map(|_| {
                    turn += 1;
                    // A step that is coprime with the counts, so that neighbours in the table are not neighbours in time.
                    question(size, turn * 7919 % asked * (size.names() / asked), allowed)
                })
                .collect();
            let started = Instant::now();
            for (caller, host) in &batch {
                let destination = Destination { host, port: 443 };
                let request = black_box(Request { caller, destination, protocol: Protocol::Tunnel });
                let decision = black_box(set.decide(&request));
                assert_eq!(decision.verdict == Verdict::Allow, allowed);
                if allowed {
                    assert!(black_box(set.vet(&request, &decision, &address, &own)).is_ok());
                }
            }
            spent += started.elapsed();
        }
        best = best.min(spent.as_secs_f64() * 1e9 / DECISIONS as f64);
    }
    best
}

/// One policy is written anew.
fn change(mut table: BTreeMap<String, Arc<EgressPolicy>>, keys: &[String], policies: &Policies) -> Duration {
    let key = &keys[keys.len() / 2];
    let changed = EgressPolicy { contact: "somebody else".to_owned(), ..(*table[key]).clone() };
    table.insert(key.clone(), Arc::new(changed));
    let started = Instant::now();
    black_box(PolicySet::of(keys, &Policies::compile(&table, policies)));
    started.elapsed()
}

fn name_of(number: usize) -> String {
    let prefix = if number.is_multiple_of(NAMES) { "*" } else { "api" };
    format!("{prefix}.destination-{number}.example")
}

/// The caller that may reach a name, and that name, or one that nobody may reach.
fn question(size: Size, number: usize, known: bool) -> (Caller, Host) {
    let policy = number / (size.rules_of_each * NAMES);
    let peer = Peer::new(&format!("spiffe://cluster.local/{}", account(policy, "ns/", "/sa/")));
    let caller = Caller { peer: peer.map(Box::new), ..Caller::at(IpAddr::from([10, 0, 0, 1])) };
    let known = known.then(|| name_of(number).replace('*', "some"));
    let name = known.unwrap_or_else(|| format!("api.elsewhere-{number}.example"));
    (caller, Host::parse(&name).expect("a host"))
}

fn account(policy: usize, before: &str, between: &str) -> String {
    format!("{before}team-{}{between}app-{policy}", policy % 50)
}

fn table(size: Size) -> BTreeMap<String, Arc<EgressPolicy>> {
    let rule = |policy: usize, rule: usize| {
        let first = (policy * size.rules_of_each + rule) * NAMES;
        let destination = EgressDestination {
            names: (first..first + NAMES).map(name_of).collect(),
            ports: vec![443],
            ..EgressDestination::default()
        };
        let source = EgressSource { service_accounts: vec![account(policy, "", "/")], ..EgressSource::default() };
        EgressRule {
            name: format!("rule-{rule}"),
            action: Default::default(),
            sources: vec![source],
            destinations: vec![destination],
            address_blocks: Vec::new(),
            encrypted_client_hello: false,
            limits: Default::default(),
        }
    };
    let policy = |number: usize| {
        let key = format!("team-{}/policy-{number}", number % 50);
        let policy = EgressPolicy {
            key: key.clone(),
            mode: Default::default(),
            rules: (0..size.rules_of_each).map(|position| rule(number, position)).collect(),
            confined_to: String::new(),
            contact: "#security".to_owned(),
            refusal: String::new(),
        };
        (key, Arc::new(policy))
    };
    (0..size.policies).map(policy).collect()
}

/// By the kernel's accounting; pages of 4 KiB.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|resident| resident.parse::<usize>().ok()).unwrap_or_default() * 4096
}
