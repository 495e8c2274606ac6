//! The control side of UDP: which addresses are bound, one socket a worker.
//!
//! The kernel sends all datagrams of one client to the same worker's socket (`SO_REUSEPORT`), so a session
//! belongs to one worker and nothing is shared.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use socket2::{Domain, Protocol, Socket, Type};

use crate::binder::cause;
use crate::config::Compiled;
use crate::worker::Command;

/// Tells the worker at a position to do something.
pub type Send<'a> = &'a dyn Fn(usize, Command);

#[derive(Debug, Default)]
pub struct DatagramSockets {
    bound: HashSet<SocketAddr>,
}

impl DatagramSockets {
    /// Opens what the table asks for and closes the rest; returns what could not be bound.
    pub fn follow(&mut self, compiled: &Compiled, workers: usize, send: Send<'_>) -> HashMap<SocketAddr, String> {
        let gone = |address: &SocketAddr| compiled.router.datagram_listener(*address).is_none();
        for address in self.bound.extract_if(gone) {
            (0..workers).for_each(|worker| send(worker, Command::UnlistenDatagrams(address)));
        }
        let mut errors = HashMap::new();
        for (address, _) in compiled.router.datagrams() {
            if self.bound.contains(address) {
                continue;
            }
            match bind(*address, workers) {
                Ok(sockets) => {
                    let sessions = Arc::new(AtomicU32::new(0));
                    for (worker, socket) in sockets.into_iter().enumerate() {
                        let sessions = sessions.clone();
                        send(worker, Command::ListenDatagrams { socket, address: *address, sessions });
                    }
                    self.bound.insert(*address);
                }
                Err(error) => drop(errors.insert(*address, error)),
            }
        }
        errors
    }
}

/// As for TCP, the address is first bound without `SO_REUSEPORT`, which would hide a stranger.
fn bind(address: SocketAddr, count: usize) -> Result<Vec<UdpSocket>, String> {
    let explain = |error: io::Error| format!("cannot bind {address} for UDP: {}", cause(&error, address));
    drop(socket(address, false).map_err(explain)?);
    (0..count).map(|_| socket(address, true).map_err(explain)).collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_an_address_but_a_stranger_is_noticed() {
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let address = stranger.local_addr().expect("address");
        let error = bind(address, 2).expect_err("taken");
        assert!(error.contains(&address.to_string()) && error.contains("another process"), "{error}");
        drop(stranger);
        assert_eq!(bind(address, 2).expect("free again").len(), 2);
    }
}
