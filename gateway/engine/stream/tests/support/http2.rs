//! Connections of HTTP/2 between our two roles, or with a peer of `h2`'s.

use std::future::{Future, poll_fn};
use std::time::Duration;

use sekisho_codec::{RequestHead, Scheme};
use sekisho_stream::{
    BodyKind, Http2Client, Http2Exchange, Http2Options, Http2Request, Http2Server, StreamError, connect,
};
use tokio::io::{DuplexStream, duplex};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::timeout;

pub type Server = Http2Server<DuplexStream>;
pub type Accepted = (RequestHead, BodyKind, Http2Exchange);

/// Runs a test with tasks that stay on this thread, and not for ever.
pub async fn local<T>(test: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), LocalSet::new().run_until(test)).await.expect("the test hangs")
}

pub fn server(options: &Http2Options) -> (Server, DuplexStream) {
    let (ours, peer) = duplex(64 * 1024);
    (Http2Server::new(ours, Scheme::Http, options), peer)
}

/// A client of ours whose connection is driven.
pub async fn client(io: DuplexStream) -> Http2Client {
    let (client, driver) = connect(io, &Http2Options::default()).await.unwrap();
    spawn_local(driver);
    client
}

pub async fn accept(server: &mut Server) -> Option<Result<Accepted, StreamError>> {
    poll_fn(|cx| server.poll_accept(cx)).await
}

/// Drives a server, each of whose exchanges `handle` takes care of; ends with the connection.
pub fn serve<F>(mut server: Server, handle: impl Fn(Accepted) -> F + 'static) -> JoinHandle<Option<StreamError>>
where
    F: Future<Output = ()> + 'static,
{
    spawn_local(async move {
        loop {
            match accept(&mut server).await {
                Some(Ok(accepted)) => drop(spawn_local(handle(accepted))),
                Some(Err(error)) => return Some(error),
                None => return None,
            }
        }
    })
}

pub async fn answer(request: &mut Http2Request) -> Result<(sekisho_codec::ResponseHead, BodyKind), StreamError> {
    poll_fn(|cx| request.poll_response(cx)).await
}

macro_rules! flushed {
    ($stream:expr) => {
        std::future::poll_fn(|cx| $stream.poll_flush(cx)).await
    };
}
pub(crate) use flushed;
