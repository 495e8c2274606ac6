//! Running the filters of a rule or of a share on a request.

use http::header::HeaderValue;
use sekisho_codec::RequestHead;
use sekisho_filter::{FilterPlan, LocalResponse, RequestContext, Verdict};
use sekisho_router::{ListenerId, RouteId, Router};
use sekisho_table::{PathMatchType, Route};

use super::decide::{host_of, malformed};
use super::record::Record;
use super::reply::Reply;
use crate::reason::Reason;

/// The prefix that `ReplacePrefixMatch` replaces.
fn matched_prefix(route: &Route, rule_match: u32) -> Option<&str> {
    let path = route.matches.get(rule_match as usize)?.path.as_ref()?;
    (path.kind == PathMatchType::PathPrefix).then_some(path.value.as_str())
}

/// Where a request's filters learn what they need besides its head.
pub struct Filters<'a> {
    pub router: &'a Router,
    pub listener: ListenerId,
    pub route: RouteId,
    pub rule_match: u32,
}

impl Filters<'_> {
    pub fn run(&self, plan: &FilterPlan, record: &mut Record) -> Result<(), Reply> {
        if plan.is_empty() {
            return Ok(());
        }
        // Filters may change the authority: the one that was matched counts.
        let authority = record.received_authority().clone();
        self.apply(plan, &authority, &mut record.head)
    }

    /// `authority`: as it was received.
    pub fn apply(&self, plan: &FilterPlan, authority: &HeaderValue, head: &mut RequestHead) -> Result<(), Reply> {
        let host = authority.to_str().ok().and_then(host_of).ok_or_else(malformed)?;
        let context = RequestContext {
            matched_prefix: matched_prefix(self.router.route(self.route), self.rule_match),
            listener_port: self.router.listener(self.listener).port,
            host: &host,
            scheme: head.scheme,
        };
        match plan.on_request(&context, head) {
            Verdict::Continue => Ok(()),
            Verdict::Respond(response) => Err(local(response)),
        }
    }
}

pub fn local(response: LocalResponse) -> Reply {
    Reply {
        headers: response.headers,
        ..Reply::new(response.status, Reason::from_code(response.reason).unwrap_or(Reason::Redirect))
    }
}
