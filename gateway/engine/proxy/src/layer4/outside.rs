//! Connections whose backend is a host outside, where egress policies decide about the listener's routes.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use sekisho_table::Listener;
use sekisho_tls::Transport;
use sekisho_upstream::Backend;

use super::choice::Choice;
use crate::egress::{self, Carried, Certified, Gate, Leave, Secured};
use crate::reason::Reason;
use crate::worker::Worker;

/// A session of datagrams whose backend is a host outside ends before it begins, where policies decide about routes.
pub fn close_to_sessions(worker: &Rc<Worker>, listener: &Arc<Listener>, remote: SocketAddr, choice: &mut Choice) {
    if listener.routed_egress.is_none() {
        return;
    }
    let spec = choice.backend.as_ref().ok().map(|backend| backend.spec().clone());
    if let Some((host, port)) = spec.as_ref().and_then(|spec| spec.outside()) {
        let gate = Gate { worker: worker.clone(), listener: listener.clone(), remote, connect_timeout_ms: 0 };
        egress::deny_session(&gate, host, port);
        choice.backend = Err(Reason::EgressDenied);
    }
}

/// Who asks, and for which host.
pub struct Wanted<'a> {
    pub certified: Option<&'a Certified>,
    /// With a name among its endpoints.
    pub backend: &'a Rc<Backend>,
    /// TLS towards the backend is the gateway's; otherwise the client's own passes through.
    pub with_tls: bool,
    pub handshake_ms: u64,
}

/// The backend at the addresses that were vetted, and the leave to go there.
pub async fn ask(
    gate: Gate,
    wanted: Wanted<'_>,
    down: (&mut Transport, &mut BytesMut),
) -> Result<(Rc<Backend>, Leave), Reason> {
    let Wanted { certified, backend, with_tls, handshake_ms } = wanted;
    let spec = backend.spec().clone();
    let (host, port) = spec.outside().ok_or(Reason::NoHealthyUpstream)?;
    let secured = Secured::of(with_tls, spec.backend.tls.as_deref());
    let carried = Carried { certified, host, port, secured, handshake_ms };
    let (leave, addresses) = Leave::for_connection(gate, carried, down).await?;
    Ok((egress::backend_at(backend, addresses), leave))
}
