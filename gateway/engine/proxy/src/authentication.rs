//! Authentication of requests by tokens: which rules look at a listener's requests, and how a refusal is answered.
//!
//! Owns where the time comes from; what a token proves is `sekisho_token`'s. A listener without rules costs a branch.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use sekisho_codec::RequestHead;
use sekisho_router::Router;
use sekisho_table::Table;
use sekisho_token::{Authenticated, AuthenticationSet, Fault, Refusal, TokenCache};
use serde::Serialize;

use crate::exchange::Reply;
use crate::reason::Reason;

/// Effect of a request authentication, as metrics name it.
pub const REFUSED: &str = "token_refused";

/// By [`sekisho_router::ListenerId`]; empty where no listener has rules.
pub type Authentications = Vec<Option<Arc<AuthenticationSet>>>;

pub fn compile(router: &Router, table: &Table) -> Authentications {
    if router.listeners().iter().all(|listener| listener.authentication.is_empty()) {
        return Authentications::new();
    }
    let mut known: Vec<(&[String], Arc<AuthenticationSet>)> = Vec::new();
    let listeners = router.listeners().iter();
    listeners
        .map(|listener| {
            let keys = listener.authentication.as_slice();
            if keys.is_empty() {
                return None;
            }
            // Listeners of one Gateway have the same rules, and share what was proved.
            if let Some((_, set)) = known.iter().find(|(of, _)| *of == keys) {
                return Some(set.clone());
            }
            let set = Arc::new(AuthenticationSet::of(keys, &table.request_authentications));
            known.push((keys, set.clone()));
            Some(set)
        })
        .collect()
}

/// Looks at the tokens of a request, now.
pub fn authenticate(
    set: &AuthenticationSet,
    head: &mut RequestHead,
    cache: &mut TokenCache,
) -> Result<Authenticated, Refusal> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    set.authenticate(head, now, cache)
}

/// Status and code of a refusal; Envoy answers in the same way.
pub fn reason(refusal: &Refusal) -> (StatusCode, Reason) {
    let reason = match refusal {
        Refusal::Unavailable { .. } => return (StatusCode::FORBIDDEN, Reason::AuthenticationUnavailable),
        Refusal::Token { fault, .. } => match fault {
            Fault::Audience => return (StatusCode::FORBIDDEN, Reason::TokenAudience),
            Fault::Malformed => Reason::TokenMalformed,
            Fault::UnknownIssuer => Reason::TokenIssuerUnknown,
            Fault::NoKeys => Reason::TokenKeysUnavailable,
            Fault::Unverified => Reason::TokenUnverified,
            Fault::NotYetValid => Reason::TokenNotYetValid,
            Fault::Expired => Reason::TokenExpired,
        },
    };
    (StatusCode::UNAUTHORIZED, reason)
}

/// The answer, with its challenge where the token is at fault (RFC 6750, section 3).
pub fn reply(refusal: &Refusal) -> Reply {
    let (status, reason) = reason(refusal);
    let mut reply = Reply::new(status, reason);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{}\"", reason.summary());
        if let Ok(value) = HeaderValue::try_from(challenge) {
            reply.headers.set(WWW_AUTHENTICATE, value);
        }
    }
    reply
}

/// The policy and rule to blame, and the policy alone, as far as there are such.
pub fn place(refusal: &Refusal) -> (Option<&str>, Option<&str>) {
    match refusal {
        Refusal::Unavailable { policy } => (Some(policy), Some(policy)),
        Refusal::Token { rule, .. } => {
            let rule = rule.as_deref();
            (rule, rule.and_then(|rule| Some(rule.rsplit_once('/')?.0)))
        }
    }
}

/// What became of the tokens of a request, for people and for tools.
#[derive(Clone, Debug, Serialize)]
pub struct AuthenticationExplanation {
    pub accepted: bool,
    /// In words.
    pub reason: String,
    /// `issuer/subject` of a proved token.
    pub principal: Option<String>,
    /// The rule that refused, `namespace/name/rule`.
    pub rule: Option<String>,
}

impl AuthenticationExplanation {
    pub fn of(result: &Result<Authenticated, Refusal>) -> Self {
        match result {
            Ok(Authenticated { token: None, .. }) => {
                Self { accepted: true, reason: "there is no token".to_owned(), principal: None, rule: None }
            }
            Ok(Authenticated { token: Some(token), .. }) => Self {
                accepted: true,
                reason: "the token is proved".to_owned(),
                principal: (!token.principal.is_empty()).then(|| token.principal.clone()),
                rule: None,
            },
            Err(refusal) => Self {
                accepted: false,
                reason: reason(refusal).1.summary().to_owned(),
                principal: None,
                rule: place(refusal).0.map(str::to_owned),
            },
        }
    }
}
