//! What a decision costs as the policies grow: `cargo run --release -p sekisho-egress --example decision_cost`.
//!
//! Every policy has ten rules of five names, a wildcard among them, for a service account of its own. Prints
//! nanoseconds for each decision, the best of several rounds, what preparing and one change of a policy take, and
//! memory. Allowed decisions have the guard's word on one address; denied ones name the policy that the caller is under.
//!
//! Ten destinations in turn stand for what the size of the table costs by itself. All of them in turn also measure the
//! machine's caches: whatever finds one name among many touches other memory for each. So a bare lookup of the same
//! names in the same order, in a hash table of the standard library, is measured beside them. Sizes take turns within a
//! round, and growth is the median of each round's own: what else the machine does slows both sides of a quotient.
//!
//! With `--check` it fails where ten destinations among the most names cost over 1.2 of those among the fewest, or where
//! all of them in turn add over four times as much to a decision as to the bare lookup, which finds a name and nothing else.

use std::collections::{BTreeMap, HashMap};
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
const DECISIONS: usize = 25_600;
const BATCH: usize = 64;
/// What ten destinations among the most names may cost of those among the fewest.
const BOUND: f64 = 1.2;
/// What all of them may add to a decision of what they add to a bare lookup: a name, its rule, who asks, the policy.
const ADDED_BOUND: f64 = 4.0;

/// What is measured, in the order of columns.
const MANNERS: [(&str, Manner); 5] = [
    ("10 of them, allowed", Manner { asked: Some(FEW), does: Does::Allow }),
    ("10 of them, bare lookup", Manner { asked: Some(FEW), does: Does::LookUp }),
    ("all of them, allowed", Manner { asked: None, does: Does::Allow }),
    ("all of them, bare lookup", Manner { asked: None, does: Does::LookUp }),
    ("none of them, denied", Manner { asked: None, does: Does::Deny }),
];

#[derive(Clone, Copy)]
struct Manner {
    /// How many destinations take turns; `None`: all.
    asked: Option<usize>,
    does: Does,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Allow,
    Deny,
    LookUp,
}

/// Policies of one size, prepared.
struct Subject {
    size: Size,
    table: BTreeMap<String, Arc<EgressPolicy>>,
    keys: Vec<String>,
    policies: Policies,
    set: PolicySet,
    /// The names that are asked for, and nothing else.
    bare: HashMap<Box<str>, usize>,
    turn: usize,
    prepared: Duration,
    memory: usize,
}

type Costs = [f64; MANNERS.len()];

fn main() -> ExitCode {
    let mut subjects: Vec<Subject> = SIZES.into_iter().map(Subject::new).collect();
    // Nanoseconds by round, size and manner.
    let rounds: Vec<Vec<Costs>> = (0..ROUNDS)
        .map(|_| subjects.iter_mut().map(|subject| MANNERS.map(|(_, of)| subject.cost(of))).collect())
        .collect();
    println!("{:>8} {:>8}{:>22}{:>22}{:>10}", "", "", "10 of them in turn", "all of them in turn", "none");
    println!(
        "{:>8} {:>8}{:>11}{:>11}{:>11}{:>11}{:>10}{:>12}{:>11}{:>11}",
        "policies",
        "names",
        "allow ns",
        "bare ns",
        "allow ns",
        "bare ns",
        "deny ns",
        "prepare ms",
        "change ms",
        "memory MB"
    );
    for (position, subject) in subjects.iter().enumerate() {
        let best = |manner: usize| rounds.iter().map(|round| round[position][manner]).fold(f64::MAX, f64::min);
        subject.print(std::array::from_fn(best));
    }
    let last = SIZES.len() - 1;
    for (manner, (what, _)) in MANNERS.iter().enumerate() {
        let growth = median(&rounds, |round| round[last][manner] / round[0][manner]);
        println!("{what}: among the most names {growth:.2} of what it costs among the fewest");
    }
    let growth = median(&rounds, |round| round[last][0] / round[0][0]);
    let added = |round: &[Costs], manner: usize| round[last][manner] - round[0][manner];
    let share = median(&rounds, |round| added(round, 2) / added(round, 3));
    println!("all of them in turn add {share:.2} times as much to a decision as to the bare lookup");
    let holds = growth <= BOUND && share <= ADDED_BOUND;
    let word = if holds { "holds" } else { "DOES NOT HOLD" };
    println!("at most {BOUND} is expected of the first, and {ADDED_BOUND} of what is added: {word}");
    let failed = !holds && std::env::args().any(|argument| argument == "--check");
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn median(rounds: &[Vec<Costs>], of: impl Fn(&[Costs]) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(|round| of(round)).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Subject {
    fn new((policies, rules_of_each): (usize, usize)) -> Self {
        let size = Size { policies, rules_of_each };
        let table = table(size);
        let keys: Vec<String> = table.keys().cloned().collect();
        let bare = (0..size.names()).map(|number| (asked_name(number).into(), number)).collect();
        let (before, started) = (resident_bytes(), Instant::now());
        let policies = Policies::compile(&table, &Policies::default());
        let set = PolicySet::of(&keys, &policies);
        let (prepared, memory) = (started.elapsed(), resident_bytes().saturating_sub(before));
        Self { size, table, keys, policies, set, bare, turn: 0, prepared, memory }
    }

    fn print(&self, [few, bare_few, all, bare_all, none]: Costs) {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        println!(
            "{:>8} {:>8}{few:>11.0}{bare_few:>11.0}{all:>11.0}{bare_all:>11.0}{none:>10.0}{:>12.2}{:>11.2}{:>11.1}",
            self.size.policies,
            self.size.names(),
            milliseconds(self.prepared),
            milliseconds(change(self.table.clone(), &self.keys, &self.policies)),
            self.memory as f64 / 1e6,
        );
    }

    /// Nanoseconds. Who asks and what for is at hand, as it is when it was just read from a connection: a batch is
    /// made, and then timed.
    fn cost(&mut self, manner: Manner) -> f64 {
        let names = self.size.names();
        let asked = manner.asked.unwrap_or(names);
        let mut spent = Duration::ZERO;
        for _ in 0..DECISIONS / BATCH {
            let mut question = || {
                self.turn += 1;
                // A step that is coprime with the counts, so that neighbours in the table are not neighbours in time.
                question(self.size, self.turn * 7919 % asked * (names / asked), manner.does != Does::Deny)
            };
            let batch: Vec<(Caller, Host)> = (0..BATCH).map(|_| question()).collect();
            let started = Instant::now();
            match manner.does {
                Does::LookUp => batch.iter().for_each(|(_, host)| self.look_up(host)),
                does => batch.iter().for_each(|(caller, host)| self.decide(caller, host, does == Does::Allow)),
            }
            spent += started.elapsed();
        }
        spent.as_secs_f64() * 1e9 / DECISIONS as f64
    }

    fn decide(&self, caller: &Caller, host: &Host, allowed: bool) {
        let destination = Destination { host, port: 443 };
        let request = black_box(Request { caller, destination, protocol: Protocol::Tunnel });
        let decision = black_box(self.set.decide(&request));
        assert_eq!(decision.verdict == Verdict::Allow, allowed);
        if allowed {
            let addresses = [IpAddr::from([93, 184, 216, 34])];
            assert!(black_box(self.set.vet(&request, &decision, &addresses, &OwnAddresses::default())).is_ok());
        }
    }

    fn look_up(&self, host: &Host) {
        assert!(black_box(host.name().and_then(|name| self.bare.get(name))).is_some());
    }
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

/// A name that the pattern of that number covers.
fn asked_name(number: usize) -> String {
    name_of(number).replace('*', "some")
}

/// The caller that may reach a name, and that name, or one that nobody may reach.
fn question(size: Size, number: usize, known: bool) -> (Caller, Host) {
    let policy = number / (size.rules_of_each * NAMES);
    let peer = Peer::new(&format!("spiffe://cluster.local/{}", account(policy, "ns/", "/sa/")));
    let caller = Caller { peer: peer.map(Box::new), ..Caller::at(IpAddr::from([10, 0, 0, 1])) };
    let name = if known { asked_name(number) } else { format!("api.elsewhere-{number}.example") };
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
