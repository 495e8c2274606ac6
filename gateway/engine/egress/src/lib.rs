//! Who may reach what outside: egress policies, decided.
//!
//! Owns the one spelling of a destination ([`Host`]), what kind of address an address is ([`Class`]), what a
//! `ClientHello` says ([`hello`], [`later_hellos`]), DNS messages ([`dns`]), and the decision ([`PolicySet`]). Pure: it gets facts and
//! returns decisions, opens nothing and waits for nothing. [`PolicySet::decide`] and [`PolicySet::explain`] run the
//! same code. Without a rule that allows it, everything is denied.

#![forbid(unsafe_code)]

mod caller;
mod class;
mod decide;
pub mod dns;
mod explain;
mod guard;
pub mod hello;
mod host;
pub mod later_hellos;
mod names;
mod paths;
mod policy;
mod policy_set;
mod target;
mod under;

pub use caller::{Caller, Credential};
pub use class::{Class, classify};
pub use decide::{Decision, Denial, Destination, Grant, Protocol, Request, Verdict};
pub use explain::{EgressExplanation, TriedRule};
pub use guard::{OwnAddresses, Prohibited};
pub use host::{Host, HostError};
pub use policy::{Load, Policies, RuleRef};
pub use policy_set::PolicySet;
