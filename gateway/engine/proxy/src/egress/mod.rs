//! Ways out: clients name a destination, and egress policies decide whether they reach it.
//!
//! accept → who asks ([`client`]) → what is asked for ([`proxy`], [`redirected`]) → [`open`]: decide, resolve, vet, dial
//! → bytes ([`tunnel`], [`forward`]) → [`record`], last. Everything that is not allowed is denied; the address that was
//! vetted is the one that is dialled.

mod client;
mod compiled;
mod credentials;
mod explain;
mod forward;
mod name_server;
mod open;
mod own_addresses;
mod proxy;
mod record;
mod redirected;
mod reply;
mod resolve;
mod tunnel;

use std::sync::Arc;

use sekisho_policy::Peer;
use sekisho_stream::Http1;
use sekisho_table::{EgressWay, Listener};
use sekisho_tls::{PeerIdentity, Transport};

pub use compiled::Egress;
pub use explain::{explain, is_asked};
pub use resolve::Resolvers;

use crate::authorization::{self, Caller};
use crate::layer4::Place;
use client::Client;

/// Serves a connection of a way out to its end.
pub async fn serve(place: Place, listener: Arc<Listener>, transport: Transport, certificate: Option<PeerIdentity>) {
    let Some(egress) = &listener.egress else { return };
    let way = egress.way;
    if is_refused(&place, &listener, certificate.as_ref()) {
        return;
    }
    let client = Client::new(place, listener, certificate);
    match way {
        EgressWay::Proxy | EgressWay::Http => proxy::serve(&client, Http1::new(transport)).await,
        EgressWay::Tls => redirected::serve(&client, transport).await,
    }
}

/// Authorization policies judge the connection, as they do where none of its requests is seen.
fn is_refused(place: &Place, listener: &Listener, certificate: Option<&PeerIdentity>) -> bool {
    if listener.authorization.is_empty() {
        return false;
    }
    let config = place.worker.config();
    let found = authorization::listener_of(&config.compiled.router, &listener.key);
    // A listener that is no longer in the table lets nobody in.
    let Some(policies) = found.and_then(|(id, _)| config.compiled.policies(id)) else { return true };
    let peer = certificate.and_then(PeerIdentity::spiffe_uri).and_then(Peer::new);
    let (source, destination) = (place.remote.ip(), place.local.ip());
    let caller = Caller { peer: peer.as_ref(), source, destination, server_name: None };
    let verdict = authorization::decide(policies, &caller.facts(listener.port, source, None), |policy, effect| {
        place.worker.statistics.borrow_mut().authorized(policy, effect);
    });
    verdict.refused.is_some()
}
