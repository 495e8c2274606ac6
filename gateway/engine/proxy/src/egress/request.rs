//! What a request to a forward proxy, or redirected HTTP, says, whichever version carries it.

use http::header::PROXY_AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method};
use sekisho_codec::http1::TargetForm;
use sekisho_codec::{Headers, RequestHead, Scheme, authority};
use sekisho_egress::{Credential, Host};

use super::client::Client;
use super::credentials;
use super::record::Record;
use crate::reason::Reason;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A record of what a request asks for, and whom its head shows it to be of.
pub fn begin(client: &Client, head: &RequestHead) -> (sekisho_egress::Caller, Record) {
    let caller = client.caller(shown_credential(&head.headers));
    let mut record = Record::begin(client, &caller);
    record.protocol = (head.method != Method::CONNECT).then_some("HTTP");
    record.method = Some(head.method.as_str().into());
    record.trace = trace_id(&head.headers);
    (caller, record)
}

/// Where a request is to go. What names two destinations, or none, is refused. `other_host`: a Host beside a target that
/// names an authority itself.
pub fn destination(
    client: &Client,
    head: &RequestHead,
    form: TargetForm,
    other_host: Option<&HeaderValue>,
    record: &mut Record,
) -> Result<(Host, u16), Reason> {
    let is_proxy = client.is_forward_proxy();
    let default_port = match (form, is_proxy) {
        (TargetForm::Authority, true) => 0,
        (TargetForm::Absolute(Scheme::Http), true) => Scheme::Http.default_port(),
        (TargetForm::Origin, false) => client.listener.port,
        // An https URL is for CONNECT, and redirected traffic knows of no proxy.
        _ => return Err(Reason::RequestMalformed),
    };
    let named = head.authority.to_str().ok().and_then(authority::split);
    let (host, port) = named.ok_or(Reason::EgressNameInvalid)?;
    let host = match Host::parse(host) {
        Ok(host) => host,
        Err(_) => {
            record.host = Some(host.into());
            return Err(Reason::EgressNameInvalid);
        }
    };
    let port = port.unwrap_or(default_port);
    record.asks(&host, port);
    if port == 0 {
        return Err(Reason::EgressNameInvalid);
    }
    if !is_proxy && port != client.listener.port {
        return Err(Reason::EgressNameMismatch);
    }
    if let Some(other) = other_host.filter(|other| !other.is_empty()) {
        let (other, other_port) = other.to_str().ok().and_then(authority::split).ok_or(Reason::EgressNameMismatch)?;
        let same_host = Host::parse(other).is_ok_and(|other| other == host);
        // Clients leave the port out of the Host of a CONNECT as they like.
        if !same_host || other_port.is_some_and(|other| other != port) {
            return Err(Reason::EgressNameMismatch);
        }
    }
    Ok((host, port))
}

fn shown_credential(headers: &Headers) -> Option<Credential> {
    let mut shown = headers.get_all(&PROXY_AUTHORIZATION);
    match (shown.next(), shown.next()) {
        (Some(value), None) => credentials::read(value),
        _ => None,
    }
}

/// Of W3C Trace Context, version 00.
pub fn trace_id(headers: &Headers) -> Option<Box<str>> {
    let text = headers.get(&TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let sound = version == "00" && id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| id.into())
}
