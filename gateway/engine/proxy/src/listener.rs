//! Accepting: one loop a socket and worker, with the bounds on connections.

use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::connection;
use crate::worker::{ConnectionCount, ListeningSocket, Worker};

/// Pause after a failed accept (out of file descriptors, most likely), so that the loop cannot spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub async fn accept(worker: Rc<Worker>, socket: Rc<ListeningSocket>, listener: StdListener) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if let Some(count) = admit(&worker, &socket) {
                    set_options(&stream);
                    let (worker, socket) = (worker.clone(), socket.clone());
                    tokio::task::spawn_local(async move {
                        connection::serve(worker, socket, stream, remote).await;
                        drop(count);
                    });
                }
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn admit(worker: &Rc<Worker>, socket: &Rc<ListeningSocket>) -> Option<ConnectionCount> {
    let config = worker.config();
    let id = socket.id(&config)?;
    let limits = config.compiled.socket_plan(id).limits();
    ConnectionCount::admit(worker, socket, limits.max_connections_per_listener, limits.max_connections)
}

fn set_options(stream: &TcpStream) {
    // Without it a small answer may wait for an acknowledgement; a failure costs only that delay.
    let _ = stream.set_nodelay(true);
}
