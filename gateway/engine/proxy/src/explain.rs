//! Explaining a decision: the same router and the same edge rules as a request meets.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::uri::Uri;
use sekisho_codec::{Headers, target};
use sekisho_router::{Explanation, RequestView};
use sekisho_table::{Applied, Rejection, TableStore};
use sekisho_tls::{CertificateChecks, ServerTls};
use serde::Deserialize;

use crate::config::{Compiled, socket_for};
use crate::exchange::decide::host_of;
use crate::layer4;
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
    /// Identity of the caller; no policy looks at it yet.
    #[serde(default, rename = "from")]
    _from: String,
}

/// Answers a JSON question for a compiled table. `Err` is for the asker: the question is not usable.
pub fn explain(compiled: &Compiled, question: &[u8]) -> Result<Vec<u8>, String> {
    let question: Question = serde_json::from_slice(question).map_err(|e| format!("the question is not valid: {e}"))?;
    let uri: Uri = question.url.parse().map_err(|e| format!("{}: not a URL: {e}", question.url))?;
    if let (Some(scheme), Some(host), Some(port)) = (uri.scheme_str(), uri.host(), uri.port_u16())
        && let Some(explanation) = layer4::explain(compiled, scheme, &host.to_ascii_lowercase(), port)
    {
        return answer(&explanation);
    }
    let tls = match uri.scheme_str() {
        Some("http" | "ws") => false,
        Some("https" | "wss") => true,
        Some("tcp" | "tls" | "udp") if uri.port().is_some() => return answer(&Explanation::no_listener()),
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
        Err(error) => return answer(&refused(error.0)),
    };
    let Some(socket) = socket_for(&compiled.router, tls, port, None) else {
        return answer(&Explanation::no_listener());
    };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let sni = uri.host().map(str::to_ascii_lowercase);
    let view = RequestView {
        tls,
        sni: if tls { sni.as_deref() } else { None },
        method: &question.method,
        host: &host,
        path,
        query,
        headers: &headers,
    };
    answer(&compiled.router.explain(socket, &view))
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

fn answer(explanation: &Explanation) -> Result<Vec<u8>, String> {
    serde_json::to_vec(explanation).map_err(|e| format!("the answer cannot be written: {e}"))
}

/// Explains for a snapshot that no engine has loaded.
pub fn explain_offline(snapshot: &[u8], question: &[u8]) -> Result<Vec<u8>, String> {
    let mut store = TableStore::default();
    let outcome = store.apply(snapshot, &CertificateChecks);
    if !outcome.applied.error.is_empty() {
        return Err(outcome.applied.error);
    }
    let compiled = Compiled::build(store.table().clone(), &Compiled::default(), outcome.touched);
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
