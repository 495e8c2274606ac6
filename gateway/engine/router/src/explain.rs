//! Why a request goes where it goes, for people and for tools.

use std::net::IpAddr;

use sekisho_table::{Filter, Retry, Timeouts, WeightedBackend};
use serde::Serialize;

use crate::{RequestView, Router, SocketId};

/// Where a request goes and why.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub socket: Option<SocketSummary>,
    pub listener: Option<String>,
    /// `route`, `not_found`, `misdirected` or `no_listener`.
    pub decision: &'static str,
    /// Known only where the gateway answers by itself.
    pub status: Option<u16>,
    /// A stable reason code, as in the access log.
    pub code: String,
    pub route: Option<String>,
    pub rule_match: Option<u32>,
    /// The rule's name, or empty.
    pub name: String,
    pub filters: Vec<Filter>,
    pub backends: Vec<WeightedBackend>,
    pub timeouts: Timeouts,
    pub retry: Option<Retry>,
    /// What was looked at, in the order in which it was tried.
    pub candidates: Vec<TriedCandidate>,
    /// For a 404: what came closest, best first.
    pub nearest: Vec<TriedCandidate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SocketSummary {
    pub address: IpAddr,
    pub bind_port: u16,
    pub tls: bool,
    pub listeners: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedCandidate {
    pub listener: String,
    pub route: String,
    #[serde(rename = "match")]
    pub rule_match: u32,
    pub hostname: String,
    pub matched: bool,
    pub failed: Option<FailedPredicate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedPredicate {
    /// `hostname`, `path`, `method`, `header`, `query` or `grpc`.
    pub predicate: &'static str,
    /// Which header or parameter, or how a path is compared.
    pub name: String,
    pub want: String,
    /// `None` where the request has nothing of the kind.
    pub got: Option<String>,
}

impl Router {
    /// The decision of [`Router::find`] with its reasons.
    pub fn explain(&self, _socket: SocketId, _request: &RequestView<'_>) -> Explanation {
        Explanation::no_listener()
    }
}

impl Explanation {
    /// Nothing listens where the request would go.
    pub fn no_listener() -> Self {
        Self {
            socket: None,
            listener: None,
            decision: "no_listener",
            status: None,
            code: String::new(),
            route: None,
            rule_match: None,
            name: String::new(),
            filters: Vec::new(),
            backends: Vec::new(),
            timeouts: Timeouts::default(),
            retry: None,
            candidates: Vec::new(),
            nearest: Vec::new(),
        }
    }
}
