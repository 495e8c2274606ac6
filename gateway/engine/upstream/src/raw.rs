//! Connections that carry bytes rather than requests: never pooled, one for each downstream connection.

use std::net::SocketAddr;
use std::time::Duration;

use sekisho_tls::{AlpnOffer, Transport};

use crate::backend::Backend;
use crate::balance;
use crate::dial::{addresses, bounded, dial};
use crate::endpoint::{EndpointHandle, LeaseGuard};
use crate::error::OpenError;

impl Backend {
    /// A new connection to one endpoint. Without `with_tls` the backend's TLS settings are left alone: what is
    /// carried is TLS already. Mutual TLS with an endpoint of the mesh goes around it all the same. `avoid` is used only where the backend has no other endpoint.
    pub async fn open_raw(
        &self,
        with_tls: bool,
        avoid: Option<&EndpointHandle>,
        connect_timeout: Duration,
    ) -> Result<(Transport, LeaseGuard), OpenError> {
        let endpoint = self.pick(avoid)?;
        let lease = LeaseGuard::new(endpoint);
        match bounded(connect_timeout, dial(endpoint, self.spec(), with_tls, AlpnOffer::None)).await {
            Ok(transport) => {
                self.count_opened();
                Ok((transport, lease))
            }
            Err(failure) => {
                self.count_failed();
                Err(failure.at(endpoint.clone()))
            }
        }
    }

    /// Where to send the datagrams of one session.
    pub async fn datagram_target(&self) -> Result<(SocketAddr, LeaseGuard), OpenError> {
        let endpoint = self.pick(None)?;
        let lease = LeaseGuard::new(endpoint);
        let found = addresses(endpoint).await.map_err(|failure| failure.at(endpoint.clone()))?;
        self.count_opened();
        Ok((found[0], lease))
    }

    fn pick(&self, avoid: Option<&EndpointHandle>) -> Result<&EndpointHandle, OpenError> {
        balance::choose(self.endpoints(), avoid, self.random()).ok_or(OpenError::NoEndpoints)
    }
}
