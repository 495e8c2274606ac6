//! Binding: one listening socket a worker and address, shared by the kernel (`SO_REUSEPORT`).

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel completes before a worker accepts them.
const BACKLOG: i32 = 4096;

/// `count` sockets on one address, or a sentence that says why not.
///
/// Two processes of one user could share a port by `SO_REUSEPORT` without noticing, and each would
/// get half of the other's traffic. So the address is first bound once without it.
pub fn bind(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, String> {
    let explain = |error: io::Error| format!("cannot bind {address}: {}", cause(&error, address));
    drop(listener(address, false).map_err(explain)?);
    (0..count).map(|_| listener(address, true).map_err(explain)).collect()
}

fn listener(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

pub fn cause(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there already".to_owned(),
        io::ErrorKind::AddrNotAvailable => format!("{} is not an address of this machine", address.ip()),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_sockets_share_an_address_but_a_stranger_is_noticed() {
        let stranger = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = stranger.local_addr().expect("address");
        let error = bind(address, 2).expect_err("taken");
        assert!(error.contains(&address.to_string()) && error.contains("another process"), "{error}");
        drop(stranger);
        assert_eq!(bind(address, 2).expect("free again").len(), 2);
    }

    #[test]
    fn a_foreign_address_is_named() {
        let error = bind("192.0.2.1:8080".parse().expect("address"), 1).expect_err("not ours");
        assert!(error.contains("192.0.2.1 is not an address of this machine"), "{error}");
    }
}
