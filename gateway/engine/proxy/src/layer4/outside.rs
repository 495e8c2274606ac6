//! Connections whose backend is a host outside, where egress policies decide about the listener's routes.

use std::rc::Rc;

use bytes::BytesMut;
use sekisho_tls::Transport;
use sekisho_upstream::Backend;

use crate::egress::{self, Carried, Certified, Gate, Leave, Secured};
use crate::reason::Reason;

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
