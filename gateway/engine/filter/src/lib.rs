//! What a rule changes in a request and in its response (Gateway API, `HTTPRouteFilter`).
//!
//! Owns the filters, one file each, and what every request meets at the edge ([`edge`]). Everything that can
//! be worked out from the table is, when a plan is compiled: names and values are parsed once. It must not
//! choose routes, open connections or keep state.

#![forbid(unsafe_code)]

mod cors;
pub mod edge;
mod mirror;
mod origin;
mod path;
mod plan;
mod redirect;
mod request_headers;
mod response_headers;
mod rewrite;

pub use mirror::Mirror;
pub use plan::{FilterPlan, LocalResponse, RequestContext, ResponseContext, Verdict};
