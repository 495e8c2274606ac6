//! TLS that was redirected here: the server name is the destination, at the listener's port. The client's own handshake
//! goes on to it untouched.

use bytes::BytesMut;
use sekisho_egress::Host;
use sekisho_tls::Transport;

use super::client::Client;
use super::open::{self, Asked, Spoken};
use super::record::Record;
use super::tunnel::{self, Named, Through};
use super::watched;
use crate::reason::Reason;

pub async fn serve(client: &Client, mut transport: Transport, mut unread: BytesMut) {
    let caller = client.caller(None);
    let mut record = Record::begin(client, &caller);
    record.protocol = Some("TLS");
    record.port = client.listener.port;
    let bound_ms = client.limits.tls_handshake_timeout_ms;
    let hello = match tunnel::read_hello(bound_ms, &mut transport, &mut unread).await {
        Ok(hello) => hello,
        Err(reason) => {
            record.denied(reason);
            return tunnel::refuse(transport, reason).await;
        }
    };
    let host = match hello.server_name.as_deref().map(Host::parse) {
        Some(Ok(host @ Host::Name(_))) => host,
        // Addresses are not server names (RFC 6066, 3).
        Some(Ok(Host::Address(_)) | Err(_)) => {
            record.host.clone_from(&hello.server_name);
            record.denied(Reason::EgressNameInvalid);
            return tunnel::refuse(transport, Reason::EgressNameInvalid).await;
        }
        None => {
            record.denied(Reason::EgressNameHidden);
            return tunnel::refuse(transport, Reason::EgressNameHidden).await;
        }
    };
    record.asks(&host, client.listener.port);
    let asked = Asked { caller, host, port: client.listener.port, spoken: Spoken::Tls };
    let (permit, stream) = match open::open(client, &asked, &mut record).await {
        Ok(opened) => opened,
        Err(refused) => {
            record.denied(refused.reason);
            return tunnel::refuse(transport, refused.reason).await;
        }
    };
    // A hidden name is hidden whatever the tunnel may carry, but for a policy that only reports.
    let named = match &permit.grant.rule {
        None => Named::Settled,
        Some(rule) => match watched::watch(&mut transport, &unread, &hello, &asked.host, Some(rule)) {
            Ok(finding) => Named::Watched(finding),
            Err(reason) => {
                record.denied(reason);
                return tunnel::refuse(transport, reason).await;
            }
        },
    };
    record.allowed();
    tunnel::run(client, (transport, unread), Through::new(asked, permit, stream, record), named).await;
}
