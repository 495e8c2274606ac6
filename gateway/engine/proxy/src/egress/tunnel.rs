//! Bytes both ways, for as long as the policies allow it.
//!
//! A tunnel that a rule does not leave alone must be TLS, and its `ClientHello` must name the destination that was
//! asked for. Only then does the first byte go out. When the policies change, the tunnel is decided again.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sekisho_egress::hello::{self, Hello, HelloError};
use sekisho_egress::{Host, RuleRef};
use sekisho_stream::{Side, Tunnel};
use sekisho_tls::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Client;
use super::open::{Asked, Permit, Shown};
use super::record::Record;
use super::watched::{self, Finding};
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after, earliest};

/// What moved is brought to the counters this often.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// A fatal `unrecognized_name` alert in a record of its own (RFC 8446, 5.1 and 6).
pub const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
const MAX_HELLO: usize = 80 * 1024;

/// A tunnel that may begin.
pub struct Through {
    pub asked: Asked,
    pub permit: Permit,
    /// The destination, and what was read of it already.
    pub up: (Transport, BytesMut),
    pub record: Record,
    /// By the rule's bound on duration.
    pub until: Option<Instant>,
    /// Bytes that moved before, from the client and to it.
    pub before: (u64, u64),
}

impl Through {
    /// To a destination that has just been connected to.
    pub fn new(asked: Asked, permit: Permit, stream: TcpStream, record: Record) -> Self {
        let duration_ms = permit.grant.rule.as_ref().map_or(0, |rule| rule.limits().duration_ms);
        let until = after(Instant::now(), duration_ms);
        Self { asked, permit, up: (Transport::Tcp(stream), BytesMut::new()), record, until, before: (0, 0) }
    }
}

/// Whether what is carried is for the destination.
#[derive(Clone, Debug)]
pub enum Named {
    /// Nobody looked.
    Unknown,
    /// It is.
    Settled,
    /// The client's TLS names it, until there is a finding.
    Watched(Finding),
}

impl Named {
    pub fn agrees(&self) -> bool {
        !matches!(self, Self::Unknown)
    }

    pub fn shown(&self) -> Shown {
        match self {
            Self::Unknown => Shown::Nothing,
            Self::Watched(finding) if finding.is_hidden() => Shown::Hidden,
            Self::Settled | Self::Watched(_) => Shown::Destination,
        }
    }

    /// Why what it names later forbids to go on.
    pub fn finding(&self) -> Option<Reason> {
        match self {
            Self::Unknown | Self::Settled => None,
            Self::Watched(finding) => finding.reason(),
        }
    }
}

/// Once CONNECT was answered: looks at what the client begins with, and carries the rest.
pub async fn serve(client: &Client, (mut transport, mut unread): (Transport, BytesMut), mut through: Through) {
    let mut named = Named::Unknown;
    if !through.permit.grant.opaque {
        let greeting = read_hello(client.limits.tls_handshake_timeout_ms, &mut transport, &mut unread).await;
        let (host, rule) = (&through.asked.host, through.permit.grant.rule.as_ref());
        match greeting.and_then(|hello| watched::watch(&mut transport, &unread, &hello, host, rule)) {
            Ok(finding) => named = Named::Watched(finding),
            Err(reason) => {
                through.record.denied(reason);
                return refuse(transport, reason).await;
            }
        }
    }
    through.record.protocol = Some(if named.agrees() { "TLS" } else { "TCP" });
    through.record.allowed();
    run(client, (transport, unread), through, named).await;
}

/// Tells a client of TLS that it named nobody; others are just closed.
pub async fn refuse(mut transport: Transport, reason: Reason) {
    let told = async {
        if matches!(reason, Reason::EgressNameMismatch | Reason::EgressNameHidden | Reason::EgressDenied) {
            transport.write_all(UNRECOGNIZED_NAME).await?;
        }
        transport.shutdown().await
    };
    // It is closed whether or not this can still be delivered.
    let _ = tokio::time::timeout(COUNT_EVERY, told).await;
}

/// `bound_ms`: 0 stands for a minute.
pub async fn read_hello(bound_ms: u64, transport: &mut Transport, unread: &mut BytesMut) -> Result<Hello, Reason> {
    let read = async {
        loop {
            match hello::read(unread) {
                Ok(Some(hello)) => return Ok(hello),
                Ok(None) if unread.len() >= MAX_HELLO => return Err(Reason::EgressNotTls),
                Ok(None) => {}
                Err(HelloError::NotTls) => return Err(Reason::EgressNotTls),
                Err(HelloError::Malformed | HelloError::TooLarge) => return Err(Reason::EgressNameInvalid),
            }
            match transport.read_buf(unread).await {
                Ok(0) | Err(_) => return Err(Reason::DownstreamDisconnected),
                Ok(_) => {}
            }
        }
    };
    let bound = Duration::from_millis(if bound_ms == 0 { 60_000 } else { bound_ms });
    tokio::time::timeout(bound, read).await.unwrap_or(Err(Reason::RequestHeadTimeout))
}

/// The `ClientHello` names the destination and hides no other.
pub fn judge(hello: &Hello, host: &Host, rule: Option<&RuleRef>) -> Result<(), Reason> {
    if hello.encrypted && !rule.is_some_and(RuleRef::takes_encrypted_hello) {
        return Err(Reason::EgressNameHidden);
    }
    match (host, &hello.server_name) {
        (Host::Name(_), None) => Err(Reason::EgressNameHidden),
        (Host::Name(name), Some(told)) => match Host::parse(told) {
            Ok(Host::Name(told)) if told == *name => Ok(()),
            Ok(_) => Err(Reason::EgressNameMismatch),
            Err(_) => Err(Reason::EgressNameInvalid),
        },
        // Addresses are not server names (RFC 6066, 3).
        (Host::Address(_), None) => Ok(()),
        (Host::Address(_), Some(_)) => Err(Reason::EgressNameMismatch),
    }
}

/// Until both sides have ended, one breaks, nothing moves for too long, a limit is reached, or it is no longer allowed.
pub async fn run(client: &Client, down: (Transport, BytesMut), through: Through, named: Named) {
    let Through { asked, mut permit, up, mut record, until, before } = through;
    let most = permit.grant.rule.as_ref().map_or(0, |rule| rule.limits().bytes);
    let most = if most > 0 { most } else { u64::MAX };
    let mut tunnel = Tunnel::new(down, up).with_most(most.saturating_sub(before.0 + before.1));
    let mut watchdog = Watchdog::default();
    let mut moved = (0, 0);
    let mut activity = Instant::now();
    let mut counted_at = activity;
    record.end = poll_fn(|task| {
        if let Err(reason) = permit.renew(client, &asked, named.shown()) {
            return Poll::Ready(reason);
        }
        let ended = Pin::new(&mut tunnel).poll(task);
        if tunnel.copied() != moved {
            moved = tunnel.copied();
            activity = Instant::now();
            record.moved(before.0 + moved.0, before.1 + moved.1);
            if activity.duration_since(counted_at) >= COUNT_EVERY {
                counted_at = activity;
                record.count();
            }
        }
        if let Some(reason) = named.finding() {
            return Poll::Ready(reason);
        }
        if let Poll::Ready(result) = ended {
            return Poll::Ready(match result.err().and(tunnel.failed()) {
                None => Reason::ViaUpstream,
                Some(Side::First) => Reason::DownstreamDisconnected,
                Some(Side::Second) => Reason::UpstreamReset,
            });
        }
        if record.bytes() >= most {
            return Poll::Ready(Reason::EgressLimit);
        }
        // Whoever waits for a side that has gone waits like a request, and not like a connection.
        let half = tunnel.is_half_closed();
        let patience =
            if half { client.limits.stream_idle_timeout_ms } else { client.limits.connection_idle_timeout_ms };
        let idle = after(activity, patience);
        let leave = client.leave_by();
        watchdog.poll_expired(task, earliest(earliest(idle, leave), until)).map(|()| {
            let now = Instant::now();
            let passed = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
            if passed(until) {
                Reason::EgressLimit
            } else if passed(leave) {
                Reason::RequestTimeout
            } else {
                Reason::StreamIdleTimeout
            }
        })
    })
    .await;
}
