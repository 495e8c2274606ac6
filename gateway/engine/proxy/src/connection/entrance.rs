//! How a connection came: over a socket or in a tunnel, and where it was going before it was captured.

use std::net::SocketAddr;
use std::rc::Rc;

use sekisho_router::SocketId;
use sekisho_tls::{PeerIdentity, Transport};
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::active_config::{ActiveConfig, SocketPlace};
use crate::worker::{ListeningSocket, Worker};

/// Where a connection came in.
pub struct Entrance {
    pub worker: Rc<Worker>,
    pub socket: Rc<ListeningSocket>,
    pub remote: SocketAddr,
    /// Where the client believes to be connected to.
    pub local: SocketAddr,
    pub captured: Option<CapturedPlace>,
}

/// What carries it; nothing has been read yet.
pub enum Carrier {
    Socket(TcpStream),
    /// A tunnel of a peer that was verified.
    Tunnel(Transport, Rc<PeerIdentity>),
}

/// Where a connection was going, and which captured listeners decide about it.
#[derive(Debug)]
pub struct CapturedPlace {
    /// The address of the listeners.
    address: SocketAddr,
    destination: SocketAddr,
    /// It was going to somebody else; otherwise there is nowhere to go on to.
    redirected: bool,
    place: SocketPlace,
}

impl CapturedPlace {
    pub fn new(address: SocketAddr, destination: SocketAddr, redirected: bool) -> Self {
        Self { address, destination, redirected, place: SocketPlace::default() }
    }

    pub fn id(&self, config: &ActiveConfig) -> Option<SocketId> {
        self.place.captured_in(config, self.address, self.destination)
    }

    /// Where it goes on to. A connection that was made to the gateway itself would come back to it.
    pub fn dialled(&self) -> Option<SocketAddr> {
        self.redirected.then_some(self.destination)
    }
}

impl Entrance {
    /// `None` when the client is gone already.
    pub fn of_socket(
        worker: Rc<Worker>,
        socket: Rc<ListeningSocket>,
        stream: &TcpStream,
        remote: SocketAddr,
    ) -> Option<Self> {
        let mut local = stream.local_addr().ok()?;
        let mut captured = None;
        if worker.config().compiled.captures(socket.address).is_some() {
            let destination = original_destination(stream, local);
            captured = Some(CapturedPlace::new(socket.address, destination, destination != local));
            local = destination;
        }
        Some(Self { worker, socket, remote, local, captured })
    }

    pub fn socket_id(&self, config: &ActiveConfig) -> Option<SocketId> {
        match &self.captured {
            None => self.socket.id(config),
            Some(captured) => captured.id(config),
        }
    }
}

/// What the kernel kept of a redirect (`SO_ORIGINAL_DST`); without one, the address that was dialled.
fn original_destination(stream: &TcpStream, local: SocketAddr) -> SocketAddr {
    #[cfg(target_os = "linux")]
    {
        let socket = SockRef::from(stream);
        let found = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
        found.ok().and_then(|address| address.as_socket()).unwrap_or(local)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = SockRef::from(stream);
        local
    }
}
