//! Whose tokens count: Istio's `RequestAuthentication` (`security.istio.io/v1`), decided.
//!
//! Owns where tokens (JWT, RFC 7519) are in a request, what proves them (RFC 7515, RFC 7517), and what of them goes to
//! the backend. Pure: it gets a head and the time, opens nothing and waits for nothing. Keys come with the routing
//! table; the algorithm follows from the key, never from the token alone, so that `none`, HMAC and a public key taken
//! for a secret are no algorithms here.

#![forbid(unsafe_code)]

mod cache;
mod claims;
mod extract;
mod jwks;
mod jwt;
mod outputs;
mod rules;
mod verify;

pub use cache::TokenCache;
pub use jwks::{KeySet, SetProblem};
pub use rules::{Authenticated, AuthenticationSet, Refusal};
pub use verify::Fault;
