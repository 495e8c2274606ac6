//! Who may do what: Istio's `AuthorizationPolicy` (`security.istio.io/v1`), decided.
//!
//! Owns the order of policies, the meaning of rules and what is told of a decision. Pure: it gets facts and returns
//! decisions, opens nothing and waits for nothing. Policies are prepared once for a table; who a peer is and where
//! a token comes from is settled before. [`PolicySet::decide`] and [`PolicySet::explain`] run the same code.

#![forbid(unsafe_code)]

mod addresses;
mod decide;
mod explain;
mod facts;
mod field;
mod peer;
mod policy;
mod rule;
mod template;
mod text;

pub use addresses::{AddressIndex, AddressSet};
pub use decide::{Cause, Decision, Outcome};
pub use explain::{AuthorizationExplanation, FailedCondition, TriedPolicy, TriedRule};
pub use facts::{Facts, Http, Token};
pub use peer::Peer;
pub use policy::PolicySet;
