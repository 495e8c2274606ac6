//! An HTTP/2 server that a test can ask to go away or to hang up.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::Response;
use sekisho_table::BackendProtocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::Worker;

pub struct Http2Server {
    pub address: SocketAddr,
    pub accepted: Rc<Cell<usize>>,
    pub goaway: Rc<Notify>,
    pub hangup: Rc<Notify>,
}

impl Http2Server {
    pub async fn start(max_streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Self { address, accepted: Rc::default(), goaway: Rc::default(), hangup: Rc::default() };
        let (accepted, goaway, hangup) = (server.accepted.clone(), server.goaway.clone(), server.hangup.clone());
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.set(accepted.get() + 1);
                // A small frame after a small frame would wait for the peer's delayed acknowledgement.
                stream.set_nodelay(true).expect("no delay");
                tokio::task::spawn_local(serve(stream, max_streams, goaway.clone(), hangup.clone()));
            }
        });
        server
    }

    /// A worker with this server as the only endpoint of an H2C backend.
    pub fn worker(&self) -> Worker {
        let mut worker = Worker::new();
        worker.set("b", BackendProtocol::H2C, None, &[self.address]);
        worker
    }
}

/// Answers every request with 200 at once, and ends the answer when the request ends.
pub async fn serve<IO>(stream: IO, max_streams: u32, goaway: Rc<Notify>, hangup: Rc<Notify>)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(max_streams);
    // A peer that wanted HTTP/1.1 after all has hung up.
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    loop {
        let request = tokio::select! {
            request = connection.accept() => request,
            () = goaway.notified() => { connection.graceful_shutdown(); continue }
            () = hangup.notified() => return,
        };
        let Some(Ok((request, mut respond))) = request else { return };
        tokio::task::spawn_local(async move {
            let mut body = request.into_body();
            let Ok(mut sender) = respond.send_response(Response::new(()), false) else { return };
            while let Some(Ok(_)) = body.data().await {}
            sender.send_data(Bytes::new(), true).ok();
        });
    }
}
