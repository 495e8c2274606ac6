//! Explaining a decision: the same router and the same edge rules as a request meets.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::uri::Uri;
use http::{Method, StatusCode, Version};
use sekisho_codec::{Headers, RequestHead, Scheme, target};
use sekisho_egress::EgressExplanation;
use sekisho_filter::edge::forwarded::Forwarding;
use sekisho_policy::{AuthorizationExplanation, Facts, Peer};
use sekisho_router::{Decision, Explanation, RequestView, SocketId};
use sekisho_table::{Applied, Filter, Rejection, TableStore};
use sekisho_tls::{CertificateChecks, ServerTls};
use sekisho_token::{Authenticated, Refusal, TokenCache};
use serde::{Deserialize, Serialize};

use crate::authentication::{self, AuthenticationExplanation};
use crate::authorization::{self, Caller};
use crate::config::{Compiled, socket_for};
use crate::egress::{self, CarriedConnection, Explained, RoutedExplanation, RoutedRequest};
use crate::exchange::decide::host_of;
use crate::layer4;
use crate::plan::RoutePlan;
use crate::reason::Reason;

const MAX_HEADERS: usize = 200;

/// A request to be explained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// Identity of the caller, as a verified certificate would tell it; empty for none.
    #[serde(default)]
    from: String,
    /// Address of the caller; empty for this machine.
    #[serde(default)]
    source: String,
}

/// An explanation, with what policies say.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    explanation: Explanation,
    /// `None` where the listener has no policies, or there is no listener.
    authorization: Option<AuthorizationExplanation>,
    /// `None` where nobody looks at tokens.
    authentication: Option<AuthenticationExplanation>,
    /// `None` where the question is not how to get out.
    egress: Option<EgressExplanation>,
    /// Backends of the rule that are hosts outside.
    destinations: Vec<RoutedExplanation>,
}

impl From<Explanation> for Answer {
    fn from(explanation: Explanation) -> Self {
        Self { explanation, authorization: None, authentication: None, egress: None, destinations: Vec::new() }
    }
}

impl Answer {
    /// Asks the policies of the listener. `facts` are of whoever comes in at its port.
    fn authorized<'f>(mut self, compiled: &Compiled, facts: impl FnOnce(u16) -> Facts<'f>) -> Self {
        let Some(key) = &self.explanation.listener else { return self };
        let Some((id, listener)) = authorization::listener_of(&compiled.router, key) else { return self };
        let Some(policies) = compiled.policies(id) else { return self };
        let (explained, refused) = authorization::explain(policies, &facts(listener.port));
        if let Some(reason) = refused.filter(|_| self.explanation.decision != "misdirected") {
            self.explanation.decision = "denied";
            self.explanation.status = listener.protocol.takes_requests().then_some(403);
            self.explanation.code = reason.code().to_owned();
        }
        self.authorization = Some(explained);
        self
    }

    /// A rule that does not answer clients of this address denies.
    fn screened(&mut self, plan: &RoutePlan, remote: IpAddr) {
        let turned_away = plan.source_ranges.as_ref().is_some_and(|ranges| !ranges.admits(remote));
        if turned_away && self.explanation.decision == "route" {
            self.explanation.decision = "denied";
            self.explanation.status = Some(StatusCode::FORBIDDEN.as_u16());
            self.explanation.code = Reason::SourceDenied.code().to_owned();
        }
    }

    /// Follows what is routed to where its rule leads outside. With a share that gets nowhere else, it is denied.
    fn led_outside(&mut self, destinations: impl FnOnce() -> Vec<RoutedExplanation>) {
        if self.explanation.decision != "route" || self.explanation.status.is_some() {
            return;
        }
        self.destinations = destinations();
        let shares = self.explanation.backends.iter().filter(|share| share.weight > 0).count();
        let refused = self.destinations.iter().filter(|destination| destination.status.is_some());
        let refused: Vec<_> = refused.collect();
        if let Some(first) = refused.first().filter(|_| refused.len() == shares) {
            self.explanation.decision = "denied";
            self.explanation.status = first.status;
            self.explanation.code = first.code.clone().unwrap_or_default();
        }
    }
}

impl Answer {
    /// Looks at the tokens of a request as its listener does; `None` where it does not.
    fn authenticated(&mut self, compiled: &Compiled, head: &mut RequestHead) -> Option<Result<Authenticated, Refusal>> {
        if self.explanation.decision == "misdirected" {
            return None;
        }
        let (id, _) = authorization::listener_of(&compiled.router, self.explanation.listener.as_ref()?)?;
        let set = compiled.authentication(id)?;
        let result = authentication::authenticate(set, head, &mut TokenCache::default());
        self.authentication = Some(AuthenticationExplanation::of(&result));
        Some(result)
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let (status, reason) = authentication::reason(refusal);
        self.explanation.decision = "denied";
        self.explanation.status = Some(status.as_u16());
        self.explanation.code = reason.code().to_owned();
    }
}

/// The caller that a question is about.
struct Asker {
    peer: Option<Peer>,
    source: IpAddr,
}

impl Asker {
    fn of(question: &Question) -> Result<Self, String> {
        let peer = match question.from.as_str() {
            "" => None,
            uri => Some(
                Peer::new(uri)
                    .ok_or_else(|| format!("{uri}: not an identity, such as spiffe://cluster.local/ns/shop/sa/cart"))?,
            ),
        };
        let source = match question.source.as_str() {
            "" => IpAddr::from([127, 0, 0, 1]),
            text => text.parse().map_err(|_| format!("{text}: not an IP address"))?,
        };
        Ok(Self { peer, source })
    }

    fn caller<'a>(&'a self, destination: IpAddr, server_name: Option<&'a str>) -> Caller<'a> {
        Caller { peer: self.peer.as_ref(), source: self.source, destination, server_name }
    }
}

/// Answers a JSON question for a compiled table. `Err` is for the asker: the question is not usable.
pub fn explain(compiled: &Compiled, question: &[u8]) -> Result<Vec<u8>, String> {
    let question: Question = serde_json::from_slice(question).map_err(|e| format!("the question is not valid: {e}"))?;
    let asker = Asker::of(&question)?;
    if egress::is_asked(&question.method) {
        return answer(outwards(compiled, &question, asker)?);
    }
    let uri: Uri = question.url.parse().map_err(|e| format!("{}: not a URL: {e}", question.url))?;
    if let (Some(scheme), Some(host), Some(port)) = (uri.scheme_str(), uri.host(), uri.port_u16())
        && let Some(found) = layer4::explain(compiled, scheme, &host.to_ascii_lowercase(), port)
    {
        let host = host.to_ascii_lowercase();
        let server_name = (scheme == "tls").then_some(host.as_str());
        let caller = asker.caller(found.address, server_name);
        let explained = Answer::from(found.explanation);
        let mut explained = explained.authorized(compiled, |port| caller.facts(port, asker.source, None));
        if let Some((listener, route)) = found.carrier {
            let caller = egress::caller(asker.peer.clone(), &question.from, asker.source);
            let connection = CarriedConnection { listener, route, server_name, caller };
            explained.led_outside(|| connection.explain(compiled));
            // A connection is closed, and not answered.
            explained.explanation.status = None;
        }
        return answer(explained);
    }
    let tls = match uri.scheme_str() {
        Some("http" | "ws") => false,
        Some("https" | "wss") => true,
        Some("tcp" | "tls" | "udp") if uri.port().is_some() => return answer(Explanation::no_listener().into()),
        _ => return Err(format!("{}: not a URL of HTTP, TCP, TLS or UDP, such as http://host/path", question.url)),
    };
    let authority = uri.authority().ok_or_else(|| format!("{}: the URL has no host", question.url))?.as_str();
    let headers = headers(&question.headers)?;
    let authority = overriding_host(&question.headers).unwrap_or(authority);
    let host = host_of(authority).ok_or_else(|| format!("{authority}: not a host"))?;
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let raw = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = match target::normalize(raw.as_bytes()) {
        Ok(target::Normalized::Unchanged) => raw.to_owned(),
        Ok(target::Normalized::Changed(changed)) => String::from_utf8_lossy(&changed).into_owned(),
        Err(error) => return answer(refused(error.0).into()),
    };
    let Some(socket) = socket_for(&compiled.router, tls, port, None) else {
        return answer(Explanation::no_listener().into());
    };
    let scheme = if tls { Scheme::Https } else { Scheme::Http };
    let mut head = RequestHead {
        method: Method::from_bytes(question.method.as_bytes())
            .map_err(|_| format!("{}: not a method", question.method))?,
        scheme,
        authority: HeaderValue::from_str(authority).map_err(|_| format!("{authority}: not a host"))?,
        target: Bytes::from(target),
        version: Version::HTTP_11,
        headers,
    };
    let sni = uri.host().map(str::to_ascii_lowercase).filter(|_| tls);
    let look_up = |head: &RequestHead| explained(compiled, socket, head, &host, sni.as_deref());
    let mut found = Answer::from(look_up(&head));
    let mut decided = decide(compiled, socket, &head, &host, sni.as_deref());
    let tokens = found.authenticated(compiled, &mut head);
    if let Some(Ok(Authenticated { changed: true, .. })) = &tokens {
        found.explanation = look_up(&head);
        decided = decide(compiled, socket, &head, &host, sni.as_deref());
    }
    if let Some(Err(refusal)) = &tokens {
        found.refuse(refusal);
        return answer(found);
    }
    let token = tokens.and_then(Result::ok).and_then(|authenticated| authenticated.token);
    let caller = asker.caller(compiled.socket_plan(socket).address.ip(), sni.as_deref());
    let request = authorization::request(&head, &host, token.as_deref());
    let hops = compiled.socket_plan(socket).gateway.trusted_hops;
    let remote = Forwarding::new(hops, asker.source, scheme).client_of(&head.headers);
    let mut found = found.authorized(compiled, |port| caller.facts(port, remote, Some(request)));
    if let Decision::Matched { listener, route, rule_match } = decided {
        found.screened(compiled.plan(route), remote);
        let caller = egress::caller(asker.peer.clone(), &question.from, asker.source);
        let request = RoutedRequest { listener, route, rule_match, head: &head, caller };
        found.led_outside(|| request.explain(compiled));
    }
    answer(found)
}

fn explained(compiled: &Compiled, socket: SocketId, head: &RequestHead, host: &str, sni: Option<&str>) -> Explanation {
    compiled.router.explain(socket, &view(head, host, sni))
}

fn decide(compiled: &Compiled, socket: SocketId, head: &RequestHead, host: &str, sni: Option<&str>) -> Decision {
    compiled.router.find(socket, &view(head, host, sni))
}

fn view<'a>(head: &'a RequestHead, host: &'a str, sni: Option<&'a str>) -> RequestView<'a> {
    let (path, query) = head.path_and_query();
    RequestView {
        tls: head.scheme == Scheme::Https,
        sni,
        method: head.method.as_str(),
        host,
        path,
        query,
        headers: &head.headers,
    }
}

/// What becomes of a CONNECT to a forward proxy.
fn outwards(compiled: &Compiled, question: &Question, asker: Asker) -> Result<Answer, String> {
    let caller = egress::caller(asker.peer, &question.from, asker.source);
    let (listener, Explained { explanation, refused }) = egress::explain(compiled, &question.url, caller)?;
    let mut found = Answer::from(Explanation::no_listener());
    found.explanation.listener = Some(listener);
    found.explanation.decision = if refused.is_some() { "denied" } else { "egress" };
    found.explanation.status = Some(refused.map_or(200, |reason| egress::status(reason).as_u16()));
    found.explanation.code = refused.unwrap_or(Reason::ViaUpstream).code().to_owned();
    found.egress = Some(explanation);
    Ok(found)
}

fn headers(list: &[(String, String)]) -> Result<Headers, String> {
    if list.len() > MAX_HEADERS {
        return Err(format!("{} headers are more than {MAX_HEADERS}", list.len()));
    }
    let mut headers = Headers::with_capacity(list.len());
    for (name, value) in list.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        let parsed = HeaderName::try_from(name).map_err(|_| format!("{name:?}: not a header name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| format!("{name}: not a header value"))?;
        headers.append(parsed, value);
    }
    Ok(headers)
}

/// `-H 'Host: …'` stands for the request's host, as with curl.
fn overriding_host(list: &[(String, String)]) -> Option<&str> {
    list.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.as_str())
}

fn refused(why: &str) -> Explanation {
    let mut explanation = Explanation::no_listener();
    explanation.decision = "refused";
    explanation.status = Some(400);
    explanation.code = Reason::RequestMalformed.code().to_owned();
    explanation.name = why.to_owned();
    explanation
}

fn answer(mut answer: Answer) -> Result<Vec<u8>, String> {
    let Explanation { filters, backends, .. } = &mut answer.explanation;
    backends.iter_mut().flat_map(|share| &mut share.filters).chain(filters).for_each(conceal);
    serde_json::to_vec(&answer).map_err(|e| format!("the answer cannot be written: {e}"))
}

/// An explanation is for reading: values of Secrets have no place in it.
fn conceal(filter: &mut Filter) {
    if let Filter::CredentialInjection(it) = filter {
        it.headers.iter_mut().for_each(|header| header.value = "<redacted>".to_owned());
    }
}

/// Explains for a snapshot that no engine has loaded.
pub fn explain_offline(snapshot: &[u8], question: &[u8]) -> Result<Vec<u8>, String> {
    let mut store = TableStore::default();
    let outcome = store.apply(snapshot, &CertificateChecks);
    if !outcome.applied.error.is_empty() {
        return Err(outcome.applied.error);
    }
    let compiled = Compiled::build(store.table(), &Compiled::default(), &outcome.touched);
    explain(&compiled, question)
}

/// What an engine would answer to this snapshot, apart from binding sockets.
pub fn validate(snapshot: &[u8]) -> Vec<u8> {
    let mut store = TableStore::default();
    let mut applied = store.apply(snapshot, &CertificateChecks).applied;
    applied.rejected.extend(unservable_tls(&store));
    serde_json::to_vec::<Applied>(&applied).unwrap_or_default()
}

/// Listeners whose certificates are fine one by one and still cannot be served.
fn unservable_tls(store: &TableStore) -> Vec<Rejection> {
    let table = store.table();
    let tls = table.listeners.values().filter(|listener| !listener.certificates.is_empty());
    tls.filter_map(|listener| {
        let reason = ServerTls::build(&[Arc::as_ref(listener)], table).err()?;
        Some(Rejection { kind: "listeners".into(), key: listener.key.clone(), reason })
    })
    .collect()
}
