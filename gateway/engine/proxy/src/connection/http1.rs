//! HTTP/1: one request after the other on one connection.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{StatusCode, Version};
use sekisho_codec::Scheme;
use sekisho_codec::http1::{HeadLimits, ParsedRequest};
use sekisho_stream::{BodyKind, Downstream, Http1, StreamError, StreamErrorKind};
use sekisho_tls::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ConnectionContext, tunnel};
use crate::exchange::{self, Incoming, Reply, Served};
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// A client that was answered early may take this long to notice before it is cut off.
const LINGER: Duration = Duration::from_secs(2);
/// And may send this much more.
const LINGER_BYTES: usize = 1024 * 1024;

pub async fn serve(context: Rc<ConnectionContext>, connection: Http1<Transport>) {
    let mut down = Downstream::Http1(connection);
    let mut watchdog = Watchdog::default();
    let mut first = true;
    let mut waiting_since = Instant::now();
    loop {
        let Downstream::Http1(connection) = &mut down else {
            return;
        };
        let incoming = match next_request(&context, connection, &mut watchdog, first, waiting_since).await {
            Next::Request(parsed) => incoming(parsed),
            Next::Refused(reason, status) => {
                refuse(&context, &mut down, &mut watchdog, Reply::new(status, reason)).await;
                return linger(down).await;
            }
            Next::End => return,
        };
        first = false;
        let version = incoming.head.version;
        match exchange::serve(&context, &mut down, &mut watchdog, incoming).await {
            Served::Complete(now) if !context.leaving() && is_persistent(&down) => waiting_since = now,
            Served::Complete(_) | Served::Close => return linger(down).await,
            Served::Abort => return abort(&down, version),
            Served::Upgraded(upgraded) => {
                if let Downstream::Http1(connection) = down {
                    tunnel::run(&context, connection, *upgraded, watchdog).await;
                }
                return;
            }
        }
    }
}

fn is_persistent(down: &Downstream<Transport>) -> bool {
    matches!(down, Downstream::Http1(connection) if connection.is_persistent())
}

/// Ends a connection in the middle of an answer. To a client of HTTP/1.0 an ordinary end would say that the answer is
/// complete; a reset does not.
fn abort(down: &Downstream<Transport>, version: Version) {
    if let Downstream::Http1(connection) = down
        && version == Version::HTTP_10
        && let Some(socket) = connection.io().tcp()
    {
        // A socket that is already gone has nothing more to say to the client.
        let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
    }
}

fn incoming(parsed: ParsedRequest) -> Incoming {
    Incoming {
        body: BodyKind::from(parsed.framing),
        head: parsed.head,
        upgrade: parsed.upgrade,
        expect_continue: parsed.expect_continue,
        keep_alive: parsed.keep_alive,
    }
}

// Moved once; a box would cost every request an allocation.
#[allow(clippy::large_enum_variant)]
enum Next {
    Request(ParsedRequest),
    Refused(Reason, StatusCode),
    End,
}

/// Waits for a request. Between requests a connection may idle long; a head that has begun, and the
/// first one, must come within the head's bound.
async fn next_request(
    context: &ConnectionContext,
    connection: &mut Http1<Transport>,
    watchdog: &mut Watchdog,
    first: bool,
    waiting_since: Instant,
) -> Next {
    let limits = HeadLimits {
        max_bytes: context.limits.max_request_head_bytes as usize,
        max_headers: context.limits.max_request_headers as usize,
    };
    let scheme = if context.tls { Scheme::Https } else { Scheme::Http };
    let received = connection.bytes_received();
    let mut begun = first.then_some(waiting_since);
    poll_fn(|task| {
        match connection.poll_request(task, &limits, scheme) {
            Poll::Ready(Ok(parsed)) => return Poll::Ready(Next::Request(parsed)),
            Poll::Ready(Err(error)) => return Poll::Ready(refusal(&error)),
            Poll::Pending => {}
        }
        let untouched = connection.bytes_received() == received;
        if untouched && context.leaving() {
            return Poll::Ready(Next::End);
        }
        if !untouched && begun.is_none() {
            begun = Some(Instant::now());
        }
        let deadline = match begun {
            Some(begun) => after(begun, context.limits.request_head_timeout_ms),
            None => after(waiting_since, context.limits.connection_idle_timeout_ms),
        };
        let silent = untouched && (!first || received == 0);
        match watchdog.poll_expired(task, earliest(deadline, context.leave_by())) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) if silent => Poll::Ready(Next::End),
            Poll::Ready(()) => Poll::Ready(Next::Refused(Reason::RequestHeadTimeout, StatusCode::REQUEST_TIMEOUT)),
        }
    })
    .await
}

fn refusal(error: &StreamError) -> Next {
    match (error.status(), error.kind) {
        (None, _) => Next::End,
        (Some(status), StreamErrorKind::HeadTooLarge) => Next::Refused(Reason::RequestHeadTooLarge, status),
        (Some(status), _) => Next::Refused(Reason::RequestMalformed, status),
    }
}

/// Answers what could not be read as a request; logged like any other.
async fn refuse(
    context: &Rc<ConnectionContext>,
    down: &mut Downstream<Transport>,
    watchdog: &mut Watchdog,
    reply: Reply,
) {
    exchange::refuse(context, down, watchdog, exchange::unreadable(Version::HTTP_11), reply).await;
}

/// Closes without losing the answer: a reset caused by unread input could overtake it (RFC 9112, 9.6).
async fn linger(down: Downstream<Transport>) {
    let Downstream::Http1(connection) = down else {
        return;
    };
    let (mut transport, _) = connection.into_parts();
    let drain = async {
        transport.shutdown().await.ok()?;
        let mut scratch = [0; 2048];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match transport.read(&mut scratch).await.ok()? {
                0 => return None,
                count => left = left.saturating_sub(count),
            }
        }
        None::<()>
    };
    // Whatever the client still sends, and whether it closes in time, is of no interest any more.
    let _ = tokio::time::timeout(LINGER, drain).await;
}
