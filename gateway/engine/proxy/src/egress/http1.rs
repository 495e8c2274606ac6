//! One connection of HTTP/1 of a forward proxy, or of redirected HTTP: one request after the other.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::StatusCode;
use sekisho_codec::http1::{ForwardRequest, HeadLimits, TargetForm};
use sekisho_stream::{BodyKind, Downstream, Http1, StreamErrorKind};
use sekisho_tls::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::Client;
use super::forward::{self, Ended, Incoming, flush};
use super::open::{self, Asked, Refused, Spoken};
use super::pool::Pool;
use super::record::Record;
use super::reply::{self, Told};
use super::request;
use super::tunnel::{self, Named, Through};
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// A client that was answered early may take this long to notice before it is cut off.
const LINGER: Duration = Duration::from_secs(2);
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

pub async fn serve(client: &Client, connection: Http1<Transport>) {
    let mut down = Downstream::Http1(connection);
    let mut watchdog = Watchdog::default();
    let mut first = true;
    let pool = Pool::default();
    loop {
        let Downstream::Http1(connection) = &mut down else { return };
        let Some(asked) = next_request(client, connection, &mut watchdog, first).await else { break };
        first = false;
        let ForwardRequest { request, form, other_host } = asked;
        let (version, method) = (request.head.version, request.head.method.clone());
        let (caller, mut record) = request::begin(client, &request.head);
        let destination = request::destination(client, &request.head, form, other_host.as_ref(), &mut record);
        let refused = match destination {
            Err(reason) => Some(Refused::from(reason)),
            Ok((host, port)) if form == TargetForm::Authority => {
                let asked = Asked { caller, host, port, spoken: Spoken::Tunnel };
                match open::open(client, &asked, &mut record).await {
                    Ok((permit, stream)) => {
                        let through = Through::new(asked, permit, stream, record);
                        return open_tunnel(client, down, through).await;
                    }
                    Err(refused) => Some(refused),
                }
            }
            Ok((host, port)) => {
                let path = request.head.path().into();
                let asked = Asked { caller, host, port, spoken: Spoken::Http { method: method.clone(), path } };
                let content = BodyKind::from(request.framing);
                let incoming = Incoming { head: request.head, content, upgrade: request.upgrade };
                match forward::exchange(client, &mut down, incoming, &asked, &pool, &mut record).await {
                    Ok(Ended::Whole) => None,
                    Ok(Ended::Broken) => break,
                    Ok(Ended::Switched(switched)) => {
                        let Downstream::Http1(connection) = down else { return };
                        return tunnel::run(
                            client,
                            connection.into_parts(),
                            switched.through(asked, record),
                            Named::Settled,
                        )
                        .await;
                    }
                    Err(refused) => Some(refused),
                }
            }
        };
        if let Some(refused) = refused {
            // Content that nobody reads stands before the next request.
            let keep_alive = down.recv_done();
            let told = Told::of(&mut record, &refused);
            if reply::write(&mut down, &method, version, keep_alive, &told).is_err() {
                return;
            }
        }
        drop(record);
        if flush(client, &mut down).await.is_none() {
            return;
        }
        let is_persistent = matches!(&down, Downstream::Http1(connection) if connection.is_persistent());
        if !is_persistent || client.leaving() {
            break;
        }
    }
    linger(down).await;
}

/// The policies have said yes: so does the gateway.
async fn open_tunnel(client: &Client, down: Downstream<Transport>, through: Through) {
    let Downstream::Http1(connection) = down else { return };
    let (mut transport, unread) = connection.into_parts();
    let answered = async {
        transport.write_all(ESTABLISHED).await?;
        transport.flush().await
    };
    if answered.await.is_ok() {
        tunnel::serve(client, (transport, unread), through).await;
    }
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
    if reply::write_unreadable(connection, status, &told).is_ok() {
        let flushed = poll_fn(|task| connection.poll_flush(task));
        // A client that does not take the answer goes without it.
        let _ = tokio::time::timeout(LINGER, flushed).await;
    }
}

/// Closes without losing the answer (RFC 9112, 9.6).
async fn linger(down: Downstream<Transport>) {
    let Downstream::Http1(connection) = down else { return };
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
