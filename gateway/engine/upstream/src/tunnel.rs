//! Tunnels to workloads (HBONE): streams of HTTP/2 CONNECT over mutual TLS, many to a connection.
//!
//! A connection is shared by what goes from the same identity to the same identity at the same address, on this worker. It
//! outlives the credentials it was made with; under another identity of the gateway another one is made.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Method, Version};
use sekisho_codec::{BodyKind, Headers, RequestHead, Scheme};
use sekisho_stream::Http2Client;
use sekisho_tls::{AlpnOffer, Transport};
use tokio::net::TcpStream;

use crate::dial::explain;
use crate::error::Failure;
use crate::http2_pool::Http2Pool;
use crate::upstreams::Shared;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The gateway's own identity when the connection is made.
    from: String,
    identity: String,
    address: SocketAddr,
}

/// One worker's connections for tunnels.
#[derive(Default)]
pub(crate) struct Tunnels {
    pools: RefCell<HashMap<Key, Rc<Http2Pool>>>,
}

impl Tunnels {
    fn pool(&self, key: &Key) -> Rc<Http2Pool> {
        let mut pools = self.pools.borrow_mut();
        match pools.get(key) {
            Some(pool) => pool.clone(),
            None => pools.entry(key.clone()).or_default().clone(),
        }
    }

    pub(crate) fn sweep(&self, now: u32, longest: u32) {
        // Who is about to use a pool holds it.
        self.pools.borrow_mut().retain(|_, pool| pool.sweep(now, longest) || Rc::strong_count(pool) > 1);
    }
}

/// Where a tunnel begins, by whom it must be taken, and what it leads to.
pub(crate) struct Way<'a> {
    pub identity: &'a str,
    pub address: SocketAddr,
    pub destination: SocketAddr,
}

pub(crate) async fn open(shared: &Rc<Shared>, way: &Way<'_>) -> Result<Transport, Failure> {
    let client = client(shared, way).await?;
    let refused = |text: &str| Failure::Connect(format!("the tunnel through {}: {text}", way.address).into());
    let mut request = client.open(&head(way.destination), BodyKind::Unknown).map_err(|error| refused(error.text()))?;
    loop {
        let response = poll_fn(|task| request.poll_response(task)).await;
        let (response, _) = response.map_err(|error| refused(error.text()))?;
        if response.status.is_informational() {
            continue;
        }
        if !response.status.is_success() {
            return Err(refused(&format!("it was answered with {}", response.status.as_u16())));
        }
        return Ok(Transport::Carried(Box::new(request.into_tunnel())));
    }
}

fn head(destination: SocketAddr) -> RequestHead {
    // An address and a port are visible ASCII.
    let authority = HeaderValue::try_from(destination.to_string()).unwrap_or(HeaderValue::from_static("invalid"));
    RequestHead {
        method: Method::CONNECT,
        scheme: Scheme::Https,
        authority,
        target: Bytes::new(),
        version: Version::HTTP_2,
        headers: Headers::default(),
    }
}

async fn client(shared: &Rc<Shared>, way: &Way<'_>) -> Result<Http2Client, Failure> {
    let from = shared.identity.current().map(|credentials| credentials.uri().to_owned());
    let key = Key { from: from.unwrap_or_default(), identity: way.identity.to_owned(), address: way.address };
    let pool = shared.tunnels.pool(&key);
    if let Some(client) = pool.take(shared.ticks()) {
        return Ok(client);
    }
    let turn = pool.turn().await?;
    if let Some(client) = pool.take(shared.ticks()) {
        return Ok(client);
    }
    let started = start(shared, way, &pool).await;
    started.inspect_err(|failure| turn.failed(failure))
}

async fn start(shared: &Rc<Shared>, way: &Way<'_>, pool: &Rc<Http2Pool>) -> Result<Http2Client, Failure> {
    let connected = TcpStream::connect(way.address).await;
    let stream = connected.map_err(|error| Failure::Connect(explain(&error).into()))?;
    // Only a socket that is already gone refuses this, and the first write will say so.
    stream.set_nodelay(true).ok();
    let (transport, _) =
        shared.identity.connect(stream, way.identity, "", AlpnOffer::Tunnel).await.map_err(Failure::from)?;
    let (client, driver) = sekisho_stream::connect(transport, &shared.http2)
        .await
        .map_err(|error| Failure::Connect(format!("HTTP/2 could not start: {}", error.text()).into()))?;
    let id = pool.add(client.clone(), shared.ticks());
    let pool = Rc::downgrade(pool);
    tokio::task::spawn_local(async move {
        driver.await;
        if let Some(pool) = pool.upgrade() {
            pool.remove(id);
        }
    });
    Ok(client)
}
