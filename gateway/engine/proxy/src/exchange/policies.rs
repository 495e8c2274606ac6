//! What policies say of a request, once it is known where it belongs. Who has none does not come here.

use http::StatusCode;
use sekisho_policy::PolicySet;
use sekisho_token::{Authenticated, AuthenticationSet};

use super::decide::{Asked, Found, host_of, malformed};
use super::record::Record;
use super::reply::Reply;
use crate::active_config::ActiveConfig;
use crate::authentication;
use crate::authorization::{self, NO_POLICY, Told};
use crate::connection::ConnectionContext;

/// Who asks, by the tokens of the request.
#[inline(never)]
pub fn authenticate(
    set: &AuthenticationSet,
    context: &ConnectionContext,
    record: &mut Record,
) -> Result<Authenticated, Reply> {
    let worker = &context.worker;
    record.concealed_target = set.concealed(record.head.target_str()).map(Into::into);
    authentication::authenticate(set, &mut record.head, &mut worker.tokens.borrow_mut()).map_err(|refusal| {
        let (rule, policy) = authentication::place(&refusal);
        worker.statistics.borrow_mut().authorized(policy.unwrap_or(NO_POLICY), authentication::REFUSED);
        if let Some(rule) = rule {
            record.authorization = Some(Box::new(Told { denied: Some(rule.to_owned()), ..Told::default() }));
        }
        authentication::reply(&refusal)
    })
}

/// Who is to be asked about a request before policies decide, if anybody. What is denied whatever they say is denied by
/// the decision itself.
#[inline(never)]
pub fn question<'a>(
    config: &'a ActiveConfig,
    policies: &'a PolicySet,
    found: &Found,
    context: &ConnectionContext,
    record: &Record,
) -> Result<Vec<Asked<'a>>, Reply> {
    if !policies.may_ask() {
        return Ok(Vec::new());
    }
    let head = &record.head;
    let host = head.authority.to_str().ok().and_then(host_of).ok_or_else(malformed)?;
    let port = config.compiled.router.listener(found.listener).port;
    let request = authorization::request(head, &host, found.token.as_deref());
    let asks = policies.asks(&context.caller().facts(port, record.client, Some(request))).into_iter();
    Ok(asks.map(|policy| Asked { provider: config.compiled.provider(policy.0), policy: Some(policy) }).collect())
}

/// Apart, so that requests that nobody asks about do not carry its weight.
#[inline(never)]
pub fn authorize(
    config: &ActiveConfig,
    policies: &PolicySet,
    found: &Found,
    context: &ConnectionContext,
    record: &mut Record,
) -> Result<(), Reply> {
    let head = &record.head;
    let host = head.authority.to_str().ok().and_then(host_of).ok_or_else(malformed)?;
    let port = config.compiled.router.listener(found.listener).port;
    let request = authorization::request(head, &host, found.token.as_deref());
    let verdict = authorization::decide(
        policies,
        &context.caller().facts(port, record.client, Some(request)),
        |policy, effect| {
            context.worker.statistics.borrow_mut().authorized(policy, effect);
        },
    );
    record.authorization = verdict.told;
    match verdict.refused {
        None => Ok(()),
        Some(reason) => Err(Reply::new(StatusCode::FORBIDDEN, reason)),
    }
}
