//! Servers that resolve names, as a table writes them: `address:port`, or `tls://address:port#name` for DNS over TLS.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::validate::name::hostname;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameServer {
    pub address: SocketAddr,
    /// The name that its certificate must have, and the address where none was written; `None`: it is asked in the clear.
    pub verified_as: Option<Box<str>>,
}

impl NameServer {
    /// Asked in the clear.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, verified_as: None }
    }
}

/// What a table may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANameServer;

impl FromStr for NameServer {
    type Err = NotANameServer;

    fn from_str(text: &str) -> Result<Self, NotANameServer> {
        let Some(rest) = text.strip_prefix("tls://") else { return Ok(Self::plain(address(text)?)) };
        let (place, name) = rest.split_once('#').map_or((rest, None), |(place, name)| (place, Some(name)));
        let address = address(place)?;
        let name = match name {
            Some(name) if hostname(name).is_err() => return Err(NotANameServer),
            Some(name) => name.into(),
            None => address.ip().to_string().into(),
        };
        Ok(Self { address, verified_as: Some(name) })
    }
}

fn address(text: &str) -> Result<SocketAddr, NotANameServer> {
    let address: SocketAddr = text.parse().map_err(|_| NotANameServer)?;
    if address.port() > 0 && !text.contains('%') { Ok(address) } else { Err(NotANameServer) }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verified_as {
            None => self.address.fmt(f),
            Some(name) => write!(f, "tls://{}#{name}", self.address),
        }
    }
}
