//! A request whose route leads outside: the policies of its listener let it out, or not.

use std::rc::Rc;
use std::sync::Arc;

use sekisho_table::Listener;
use sekisho_upstream::Backend;

use super::decide::Forward;
use super::{Exchange, Step};
use crate::active_config::ActiveConfig;
use crate::egress::{self, Gate, Leave, Wanted};
use crate::reason::Reason;

impl Exchange<'_> {
    /// The request's listener, where egress policies decide about its routes.
    pub(super) fn guarded<'c>(&self, config: &'c ActiveConfig) -> Option<&'c Arc<Listener>> {
        let listener = config.compiled.router.listener(self.record.place.listener?);
        listener.routed_egress.is_some().then_some(listener)
    }

    /// Once the policies have let it out, at the addresses that they vetted.
    pub(super) async fn forward_outside(
        &mut self,
        backend: &Rc<Backend>,
        config: &ActiveConfig,
        forward: &Forward<'_>,
        (host, port, listener): (&str, u16, &Arc<Listener>),
    ) -> Step {
        let context = self.context;
        let gate = Gate {
            worker: context.worker.clone(),
            listener: listener.clone(),
            remote: context.remote,
            connect_timeout_ms: context.limits.connect_timeout_ms,
        };
        let rewritten = self.record.head.authority != *self.record.received_authority();
        let wanted = Wanted {
            certified: context.certified(),
            head: &mut self.record.head,
            host,
            port,
            server_name: backend.spec().backend.tls.as_ref().map(|tls| tls.server_name.as_str()),
            rewritten,
        };
        // Woken when the policies change, also on a connection with many exchanges.
        let _registration = context.worker.registered().await;
        let (leave, addresses) = match Leave::ask(gate, wanted).await {
            Ok(let_out) => let_out,
            Err(reply) => return self.reply(reply).await.into(),
        };
        self.leave = Some(Box::new(leave));
        let step = self.forward_to(&egress::backend_at(backend, addresses), config, forward).await;
        if let Step::Served(_) = step
            && let Some(leave) = self.leave.take()
        {
            leave.finish(self.record.reason, self.record.bytes_received, self.record.bytes_sent);
        }
        step
    }

    /// Why a request that was let out goes no further, if it does not.
    pub(super) fn revoked(&mut self) -> Option<Reason> {
        let (received, sent) = (self.record.bytes_received, self.record.bytes_sent);
        self.leave.as_mut()?.check(received, sent).err()
    }
}
