//! The client's side: a shared handle on a connection.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use bytes::BytesMut;
use sekisho_codec::RequestHead;
use sekisho_codec::http2::{Connection, Role};
use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::{Driver, Moved};
use super::link::Link;
use super::shared::Shared;
use super::{Http2Options, Http2Request};
use crate::{BodyKind, StreamError, StreamErrorKind};

/// Begins HTTP/2 on `io`; ready when the server has said how many streams it takes. The future that comes with the handle
/// drives the connection: it has to be polled until it ends.
pub async fn connect<IO>(
    io: IO,
    options: &Http2Options,
) -> Result<(Http2Client, impl Future<Output = ()> + use<IO>), StreamError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let shared = Shared::new(Connection::new(Role::Client, options.limits()));
    let mut driver = Driver::new(Link::new(io, BytesMut::new()), shared.clone());
    poll_fn(|cx| match driver.poll(cx) {
        Poll::Ready(Moved::Finished | Moved::Lost | Moved::Received) => Poll::Ready(Err(refused(&shared))),
        Poll::Pending if shared.state().connection.peer_max_streams() > Some(0) => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let client = Http2Client { handle: Rc::new(Handle { shared, in_flight: Cell::new(0) }) };
    // Its end is told to each stream, and to whoever tries to open another, when the driver is dropped.
    let driving = async move {
        poll_fn(|cx| driver.poll(cx)).await;
    };
    Ok((client, driving))
}

/// Why a connection ended before it began.
fn refused(shared: &Shared) -> StreamError {
    match shared.state().connection.error() {
        Some(error) => StreamError::protocol(error.text),
        None => StreamError::new(StreamErrorKind::Closed),
    }
}

/// Apart from what the driver holds: the last handle's end closes the connection.
pub(super) struct Handle {
    pub shared: Shared,
    pub in_flight: Cell<u32>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.connection.close();
        state.notify();
    }
}

/// A handle on a connection to a server; the connection closes when the last one and all requests are gone.
#[derive(Clone)]
pub struct Http2Client {
    handle: Rc<Handle>,
}

impl Http2Client {
    /// True while the connection is up and the server takes one more stream.
    pub fn can_open(&self) -> bool {
        self.handle.shared.state().connection.can_open()
    }

    pub fn is_closed(&self) -> bool {
        self.handle.shared.state().connection.is_over()
    }

    pub fn in_flight(&self) -> u32 {
        self.handle.in_flight.get()
    }

    /// Sends a request head. `Refused` when the connection does not take it any more.
    pub fn open(&self, head: &RequestHead, kind: BodyKind) -> Result<Http2Request, StreamError> {
        if head.authority.is_empty() {
            return Err(StreamError::protocol("the request has no authority that HTTP/2 can carry"));
        }
        let mut state = self.handle.shared.state();
        state.prepare();
        let key = state.connection.open(head, kind).ok_or(StreamError::new(StreamErrorKind::Refused))?;
        state.notify();
        self.handle.in_flight.set(self.in_flight() + 1);
        Ok(Http2Request::new(self.handle.clone(), key))
    }
}
