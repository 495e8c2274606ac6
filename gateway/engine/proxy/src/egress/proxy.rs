//! One connection of a forward proxy, or of redirected HTTP: one request after the other.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header::PROXY_AUTHORIZATION;
use http::{HeaderName, StatusCode, Version};
use sekisho_codec::http1::{ForwardRequest, HeadLimits, TargetForm};
use sekisho_codec::{Headers, Scheme, authority};
use sekisho_egress::Host;
use sekisho_stream::{Http1, StreamErrorKind};
use sekisho_table::EgressWay;
use sekisho_tls::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::Client;
use super::forward::{self, Upstream};
use super::open::{Asked, Refused, Spoken};
use super::record::Record;
use super::reply::{self, Told};
use super::{credentials, tunnel};
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// A client that was answered early may take this long to notice before it is cut off.
const LINGER: Duration = Duration::from_secs(2);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub async fn serve(client: &Client, mut connection: Http1<Transport>) {
    let mut watchdog = Watchdog::default();
    let mut first = true;
    let mut upstream: Option<Upstream> = None;
    loop {
        let Some(forward) = next_request(client, &mut connection, &mut watchdog, first).await else { break };
        first = false;
        let (version, method) = (forward.request.head.version, forward.request.head.method.clone());
        let caller = client.caller(shown_credential(&forward.request.head.headers));
        let mut record = Record::begin(client, &caller);
        record.method = Some(method.as_str().into());
        record.trace = trace_id(&forward.request.head.headers);
        let refused = match destination(client, &forward, &mut record) {
            Err(reason) => Some(Refused::from(reason)),
            Ok((host, port)) if forward.form == TargetForm::Authority => {
                let asked = Asked { caller, host, port, spoken: Spoken::Tunnel };
                match tunnel::connect(client, &asked, &mut record).await {
                    Ok((permit, stream)) => {
                        let through = tunnel::Through { asked, permit, stream, record };
                        return tunnel::serve(client, connection.into_parts(), through).await;
                    }
                    Err(refused) => Some(refused),
                }
            }
            Ok((host, port)) => {
                let path = forward.request.head.path().into();
                let asked = Asked { caller, host, port, spoken: Spoken::Http { method: method.clone(), path } };
                match forward::exchange(client, &mut connection, forward, &asked, &mut upstream, &mut record).await {
                    Ok(true) => None,
                    Ok(false) => break,
                    Err(refused) => Some(refused),
                }
            }
        };
        if let Some(Refused { reason, contact }) = refused {
            record.denied(reason);
            let destination = record.host.as_deref().map(|host| format!("{host}:{}", record.port)).unwrap_or_default();
            let told = Told { reason, destination, policy: record.policy(), contact: &contact };
            // Content that nobody reads stands before the next request.
            let keep_alive = connection.recv_done();
            if reply::write(&mut connection, &method, version, keep_alive, &told).is_err() {
                return;
            }
        }
        drop(record);
        if flush(client, &mut connection).await.is_none() {
            return;
        }
        if !connection.is_persistent() || client.leaving() {
            break;
        }
    }
    linger(connection).await;
}

/// Where a request is to go. What names two destinations, or none, is refused.
fn destination(client: &Client, forward: &ForwardRequest, record: &mut Record) -> Result<(Host, u16), Reason> {
    let is_proxy = client.listener.egress.as_ref().is_some_and(|egress| egress.way == EgressWay::Proxy);
    let default_port = match (forward.form, is_proxy) {
        (TargetForm::Authority, true) => 0,
        (TargetForm::Absolute(Scheme::Http), true) => Scheme::Http.default_port(),
        (TargetForm::Origin, false) => client.listener.port,
        // An https URL is for CONNECT, and redirected traffic knows of no proxy.
        _ => return Err(Reason::RequestMalformed),
    };
    let split = |text: &str| -> Option<(String, Option<u16>)> {
        let (host, port) = authority::split(text)?;
        Some((host.to_owned(), port))
    };
    let named = forward.request.head.authority.to_str().ok().and_then(split);
    let (host, port) = named.ok_or(Reason::EgressNameInvalid)?;
    let host = match Host::parse(&host) {
        Ok(host) => host,
        Err(_) => {
            record.host = Some(host.into());
            return Err(Reason::EgressNameInvalid);
        }
    };
    let port = port.unwrap_or(default_port);
    record.asks(&host, port);
    if !is_proxy && port != client.listener.port {
        return Err(Reason::EgressNameMismatch);
    }
    if let Some(other) = forward.other_host.as_ref().filter(|other| !other.is_empty()) {
        let other = other.to_str().ok().and_then(split).ok_or(Reason::EgressNameMismatch)?;
        let same_host = Host::parse(&other.0).is_ok_and(|other| other == host);
        // Clients leave the port out of the Host of a CONNECT as they like.
        let same_port = other.1.is_none_or(|other| other == port);
        if !same_host || !same_port {
            return Err(Reason::EgressNameMismatch);
        }
    }
    Ok((host, port))
}

fn shown_credential(headers: &Headers) -> Option<sekisho_egress::Credential> {
    let mut shown = headers.get_all(&PROXY_AUTHORIZATION);
    match (shown.next(), shown.next()) {
        (Some(value), None) => credentials::read(value),
        _ => None,
    }
}

/// Of W3C Trace Context, version 00.
fn trace_id(headers: &Headers) -> Option<Box<str>> {
    let text = headers.get(&TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let sound = version == "00" && id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| id.into())
}

async fn next_request(
    client: &Client,
    connection: &mut Http1<Transport>,
    watchdog: &mut Watchdog,
    first: bool,
) -> Option<ForwardRequest> {
    let limits = HeadLimits {
        max_bytes: client.limits.max_request_head_bytes as usize,
        max_headers: client.limits.max_request_headers as usize,
    };
    let (received, since) = (connection.bytes_received(), Instant::now());
    let mut begun = first.then_some(since);
    let outcome = poll_fn(|task| {
        match connection.poll_forward_request(task, &limits) {
            Poll::Ready(request) => return Poll::Ready(request.map_err(Some)),
            Poll::Pending => {}
        }
        let untouched = connection.bytes_received() == received;
        if untouched && client.leaving() {
            return Poll::Ready(Err(None));
        }
        if !untouched && begun.is_none() {
            begun = Some(Instant::now());
        }
        let deadline = match begun {
            Some(begun) => after(begun, client.limits.request_head_timeout_ms),
            None => after(since, client.limits.connection_idle_timeout_ms),
        };
        watchdog.poll_expired(task, earliest(deadline, client.leave_by())).map(|()| Err(None))
    })
    .await;
    match outcome {
        Ok(request) => Some(request),
        Err(error) => {
            if let Some(status) = error.and_then(|error| error.status()) {
                let too_large = error.is_some_and(|error| error.kind == StreamErrorKind::HeadTooLarge);
                let reason = if too_large { Reason::RequestHeadTooLarge } else { Reason::RequestMalformed };
                refuse_unreadable(client, connection, reason, status).await;
            }
            None
        }
    }
}

/// Recorded like any other denial.
async fn refuse_unreadable(client: &Client, connection: &mut Http1<Transport>, reason: Reason, status: StatusCode) {
    Record::begin(client, &client.caller(None)).denied(reason);
    let told = Told { reason, destination: String::new(), policy: None, contact: "" };
    if reply::write_with_status(connection, status, Version::HTTP_11, &told).is_ok() {
        flush(client, connection).await;
    }
}

pub async fn flush(client: &Client, connection: &mut Http1<Transport>) -> Option<()> {
    let bound = Duration::from_millis(client.limits.stream_idle_timeout_ms.max(1));
    let flushed = poll_fn(|task| connection.poll_flush(task));
    tokio::time::timeout(bound, flushed).await.ok()?.ok()
}

/// Closes without losing the answer (RFC 9112, 9.6).
async fn linger(connection: Http1<Transport>) {
    let (mut transport, _) = connection.into_parts();
    let drain = async {
        transport.shutdown().await.ok()?;
        let mut scratch = [0; 2048];
        for _ in 0..512 {
            if transport.read(&mut scratch).await.ok()? == 0 {
                return None;
            }
        }
        None::<()>
    };
    // Whatever the client still sends, and whether it closes in time, is of no interest any more.
    let _ = tokio::time::timeout(LINGER, drain).await;
}
