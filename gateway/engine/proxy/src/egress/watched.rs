//! A client's side of a tunnel, looked at for as long as its TLS may still name another host.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use sekisho_egress::hello::Hello;
use sekisho_egress::later_hellos::LaterHellos;
use sekisho_egress::{Host, RuleRef};
use sekisho_tls::Transport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tunnel::judge;
use crate::reason::Reason;

/// What came out about a tunnel. Whoever polls the tunnel looks here afterwards.
#[derive(Clone, Debug, Default)]
pub struct Finding(Rc<Found>);

#[derive(Debug, Default)]
struct Found {
    reason: Cell<Option<Reason>>,
    hidden: Cell<bool>,
}

impl Finding {
    /// Why it may go no further.
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason.get()
    }

    /// There may be another name, encrypted.
    pub fn is_hidden(&self) -> bool {
        self.0.hidden.get()
    }

    fn judged(&self, hello: &Hello, host: &Host, rule: Option<&RuleRef>) -> Result<(), Reason> {
        judge(hello, host, rule)?;
        self.0.hidden.set(self.0.hidden.get() || hello.encrypted);
        Ok(())
    }

    fn look(
        &self,
        later: &mut LaterHellos,
        mut bytes: &[u8],
        host: &Host,
        rule: Option<&RuleRef>,
    ) -> Result<(), Reason> {
        while let Some(hello) = later.next(&mut bytes).map_err(|_| Reason::EgressNameInvalid)? {
            self.judged(&hello, host, rule)?;
        }
        Ok(())
    }
}

/// Hands on what the client sends, until it names another host: nothing more comes then.
struct Watched {
    transport: Transport,
    later: LaterHellos,
    host: Host,
    rule: Option<RuleRef>,
    finding: Finding,
}

/// Judges the `ClientHello` that `unread` begins with, and from now on every other one. An error is about what has come.
pub fn watch(
    transport: &mut Transport,
    unread: &[u8],
    first: &Hello,
    host: &Host,
    rule: Option<&RuleRef>,
) -> Result<Finding, Reason> {
    let finding = Finding::default();
    finding.judged(first, host, rule)?;
    let mut later = LaterHellos::after(first);
    finding.look(&mut later, unread.get(first.end..).unwrap_or_default(), host, rule)?;
    let inner = std::mem::replace(transport, Transport::Carried(Box::new(tokio::io::empty())));
    let (host, rule) = (host.clone(), rule.cloned());
    let watched = Watched { transport: inner, later, host, rule, finding: finding.clone() };
    *transport = Transport::Carried(Box::new(watched));
    Ok(finding)
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.finding.reason().is_some() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(task, buffer))?;
        if !this.later.is_over()
            && let Err(reason) =
                this.finding.look(&mut this.later, &buffer.filled()[before..], &this.host, this.rule.as_ref())
        {
            buffer.set_filled(before);
            this.finding.0.reason.set(Some(reason));
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(task, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(task, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(task)
    }
}
