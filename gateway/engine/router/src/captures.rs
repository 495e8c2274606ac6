//! Which listeners take a connection that was captured: by the destination that it had before.
//!
//! The most specific wins: address and port, the address with any port, the port with any address, any destination.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use sekisho_table::{Captured, Listener};

use crate::SocketId;

/// What the captured listeners of one socket take, as they say it themselves: those that say the same are one [`crate::Socket`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Capture {
    pub captured: Captured,
    /// `None` for any.
    pub port: Option<u16>,
}

impl Capture {
    pub(crate) fn of(listener: &Listener) -> Option<Self> {
        let captured = listener.captured.clone()?;
        let port = (!captured.any_port).then_some(listener.port);
        Some(Self { captured, port })
    }
}

/// The choice among the captured listeners of one bound address.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// `None` stands for any.
    by_destination: HashMap<(Option<IpAddr>, Option<u16>), SocketId>,
}

impl Captures {
    pub(crate) fn insert(&mut self, capture: &Capture, socket: SocketId) {
        if capture.captured.addresses.is_empty() {
            self.by_destination.insert((None, capture.port), socket);
        }
        for address in &capture.captured.addresses {
            self.by_destination.insert((Some(address.to_canonical()), capture.port), socket);
        }
    }

    /// Who takes a connection to `destination`.
    pub fn find(&self, destination: SocketAddr) -> Option<SocketId> {
        let (address, port) = (Some(destination.ip().to_canonical()), Some(destination.port()));
        let keys = [(address, port), (address, None), (None, port), (None, None)];
        keys.iter().find_map(|key| self.by_destination.get(key)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(takes: &[(&[&str], Option<u16>)]) -> Captures {
        let mut captures = Captures::default();
        for (position, (addresses, port)) in takes.iter().enumerate() {
            let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
            let captured = Captured { addresses, any_port: port.is_none() };
            captures.insert(&Capture { captured, port: *port }, SocketId(position as u32));
        }
        captures
    }

    #[test]
    fn the_most_specific_destination_wins() {
        let captures =
            captures(&[(&[], None), (&[], Some(80)), (&["10.0.0.1"], None), (&["10.0.0.1", "fd00::1"], Some(80))]);
        for (destination, taken) in [
            ("10.0.0.1:80", 3),
            ("[fd00::1]:80", 3),
            ("[::ffff:10.0.0.1]:80", 3),
            ("10.0.0.1:81", 2),
            ("10.0.0.2:80", 1),
            ("10.0.0.2:81", 0),
        ] {
            let found = captures.find(destination.parse().expect("an address"));
            assert_eq!(found, Some(SocketId(taken)), "{destination}");
        }
    }

    #[test]
    fn a_destination_that_nobody_names_is_nobodys() {
        let captures = captures(&[(&["10.0.0.1"], Some(80))]);
        for destination in ["10.0.0.1:81", "10.0.0.2:80"] {
            assert_eq!(captures.find(destination.parse().expect("an address")), None);
        }
        assert_eq!(Captures::default().find("10.0.0.1:80".parse().expect("an address")), None);
    }
}
