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

use sekisho_stream::Http1;
use sekisho_table::{EgressWay, Listener};
use sekisho_tls::{PeerIdentity, Transport};

pub use compiled::Egress;
pub use explain::{explain, is_asked};
pub use resolve::Resolvers;

use crate::layer4::Place;
use client::Client;

/// Serves a connection of a way out to its end.
pub async fn serve(place: Place, listener: Arc<Listener>, transport: Transport, certificate: Option<PeerIdentity>) {
    let Some(egress) = &listener.egress else { return };
    let way = egress.way;
    let client = Client::new(place, listener, certificate);
    match way {
        EgressWay::Proxy | EgressWay::Http => proxy::serve(&client, Http1::new(transport)).await,
        EgressWay::Tls => redirected::serve(&client, transport).await,
    }
}
