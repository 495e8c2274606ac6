//! Ways out: clients name a destination, and egress policies decide whether they reach it. So do they where a route leads
//! outside ([`routed`], [`carried`]).
//!
//! accept → who asks ([`client`]) → what is asked for ([`http1`] and [`http2`] by [`request`], [`redirected`]) → [`open`]: decide, resolve, vet, dial
//! → bytes ([`tunnel`], [`forward`]) → [`record`], last. Everything that is not allowed is denied; the address that was
//! vetted is the one that is dialled.

mod carried;
mod client;
mod compiled;
mod credentials;
mod explain;
mod explain_carried;
mod explain_routed;
mod forward;
mod gate;
mod http1;
mod http2;
mod name_server;
mod open;
mod over_tls;
mod own_addresses;
mod pool;
mod record;
mod redirected;
mod reply;
mod request;
mod resolve;
mod routed;
mod tunnel;
mod watched;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::BytesMut;
use sekisho_policy::Peer;
use sekisho_stream::{Http1, Preface};
use sekisho_table::{EgressWay, Listener};
use sekisho_tls::{PeerIdentity, Transport};

pub use carried::{Carried, Secured, deny_session};
pub use compiled::Egress;
pub use explain::{Explained, caller, explain, is_asked};
pub use explain_carried::CarriedConnection;
pub use explain_routed::{RoutedExplanation, RoutedRequest};
pub use gate::Gate;
pub use over_tls::Authorities;
pub use reply::status;
pub use resolve::Resolvers;
pub use routed::{Leave, Wanted, backend_at};
pub use tunnel::refuse as turn_away;

use crate::authorization::{self, Caller};
use crate::layer4::Place;
use crate::reason::Reason;
use crate::watchdog::{Watchdog, after};
use client::Client;
use record::Record;

/// A connection of a way out.
pub struct Arrival {
    pub place: Place,
    pub listener: Arc<Listener>,
    pub transport: Transport,
    /// What was read of it already.
    pub unread: BytesMut,
    pub certified: Option<Certified>,
    /// `None` where the first bytes tell.
    pub protocol: Option<Preface>,
}

/// A client's certificate, which was verified.
pub struct Certified {
    pub certificate: Rc<PeerIdentity>,
    /// By the mesh's mutual TLS.
    pub in_mesh: bool,
}

/// Serves a connection to its end.
pub async fn serve(arrival: Arrival) {
    let Arrival { place, listener, transport, unread, certified, protocol } = arrival;
    let Some(egress) = &listener.egress else { return };
    let way = egress.way;
    if is_refused(&place, &listener, certified.as_ref()) {
        return;
    }
    let client = Client::new(place, listener, certified);
    match way {
        EgressWay::Proxy | EgressWay::Http => {
            let mut connection = Http1::with_buffered(transport, unread);
            let told = match protocol {
                Some(protocol) => Some(protocol),
                None => preface(&client, &mut connection).await,
            };
            match told {
                None => {}
                Some(Preface::Http1) => http1::serve(&client, connection).await,
                Some(Preface::Http2) => {
                    let (transport, unread) = connection.into_parts();
                    http2::serve(client, transport, unread).await;
                }
            }
        }
        EgressWay::Tls => redirected::serve(&client, transport, unread).await,
    }
}

/// Records the denial of a connection whose client did not prove what the mesh asks for.
pub fn record_unproved(place: Place, listener: Arc<Listener>, reason: Reason) {
    let client = Client::new(place, listener, None);
    let mut record = Record::begin(&client, &client.caller(None));
    record.denied(reason);
}

/// Looking takes in what has arrived; HTTP/1 finds it in the same buffer. `None`: nothing came, or not in time.
async fn preface(client: &Client, connection: &mut Http1<Transport>) -> Option<Preface> {
    let mut watchdog = Watchdog::default();
    let deadline = after(Instant::now(), client.limits.request_head_timeout_ms);
    poll_fn(|task| match connection.poll_preface(task) {
        Poll::Ready(preface) => Poll::Ready(preface.ok()),
        Poll::Pending if client.leaving() => Poll::Ready(None),
        Poll::Pending => watchdog.poll_expired(task, deadline).map(|()| None),
    })
    .await
}

/// Authorization policies judge the connection, as they do where none of its requests is seen.
fn is_refused(place: &Place, listener: &Listener, certified: Option<&Certified>) -> bool {
    if listener.authorization.is_empty() {
        return false;
    }
    let config = place.worker.config();
    let found = authorization::listener_of(&config.compiled.router, &listener.key);
    // A listener that is no longer in the table lets nobody in.
    let Some(policies) = found.and_then(|(id, _)| config.compiled.policies(id)) else { return true };
    let peer = certified.and_then(|it| it.certificate.spiffe_uri()).and_then(Peer::new);
    let (source, destination) = (place.remote.ip(), place.local.ip());
    let caller = Caller { peer: peer.as_ref(), source, destination, server_name: None };
    let verdict = authorization::decide(policies, &caller.facts(listener.port, source, None), |policy, effect| {
        place.worker.statistics.borrow_mut().authorized(policy, effect);
    });
    verdict.refused.is_some()
}
