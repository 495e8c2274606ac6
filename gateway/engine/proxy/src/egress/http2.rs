//! One connection of HTTP/2 of a forward proxy, or of redirected HTTP. Each stream asks for a destination of its own and is
//! decided by itself, in a task of its own: what one was let out for says nothing of another.

use std::rc::Rc;

use bytes::BytesMut;
use http::{Method, StatusCode};
use sekisho_codec::http1::TargetForm;
use sekisho_codec::{Headers, RequestHead, Scheme};
use sekisho_stream::{BodyKind, Downstream, Http2Exchange, Http2Options, Http2Server};
use sekisho_tls::Transport;
use tokio::net::TcpStream;

use super::client::Client;
use super::forward::{self, Incoming, flush};
use super::open::{self, Asked, Permit, Refused, Spoken};
use super::pool::Pool;
use super::record::Record;
use super::reply::{self, Told};
use super::request;
use super::tunnel::{self, Through};
use crate::http2_options::http2_options;
use crate::reason::Reason;
use crate::stream_tasks::{Bounds, Event, StreamTasks};
use crate::worker::ConnectionCount;

pub async fn serve(client: Client, transport: Transport, unread: BytesMut) {
    let options = Http2Options { takes_connect: true, keeps_scheme: true, ..http2_options(&client.limits) };
    let connection = Http2Server::with_buffered(transport, unread, Scheme::Http, &options);
    let limits = &client.limits;
    let bounds = Bounds {
        first_ms: limits.request_head_timeout_ms,
        idle_ms: limits.connection_idle_timeout_ms,
        drain_ms: limits.drain_timeout_ms,
    };
    let (client, pool) = (Rc::new(client), Rc::new(Pool::default()));
    let take = |event| match event {
        Event::Asked(head, content, exchange, open) => {
            let (client, pool) = (client.clone(), pool.clone());
            tokio::task::spawn_local(async move {
                let _registration = client.worker.registered().await;
                serve_stream(&client, &pool, (head, content), exchange).await;
                drop(open);
            });
        }
        Event::Refused(status) => {
            let too_large = status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            let reason = if too_large { Reason::RequestHeadTooLarge } else { Reason::RequestMalformed };
            Record::begin(&client, &client.caller(None)).denied(reason);
        }
    };
    StreamTasks::new(connection, bounds).run(|| client.leaving(), take).await;
}

async fn serve_stream(client: &Client, pool: &Pool, asked: (RequestHead, BodyKind), exchange: Http2Exchange) {
    let (head, content) = asked;
    let (method, version) = (head.method.clone(), head.version);
    let (caller, mut record) = request::begin(client, &head);
    let form = form(client, &head);
    let too_many = head.headers.len() > client.limits.max_request_headers as usize;
    let destination = if too_many {
        Err(Reason::RequestHeadTooLarge)
    } else {
        request::destination(client, &head, form, None, &mut record)
    };
    let mut down = Downstream::Http2(exchange);
    let refused = match destination {
        Err(reason) => Refused::from(reason),
        Ok((host, port)) if form == TargetForm::Authority => {
            let asked = Asked { caller, host, port, spoken: Spoken::Tunnel };
            match connect(client, &asked, &mut record).await {
                Ok((permit, stream, count)) => {
                    let through = Through::new(asked, permit, stream, record);
                    open_tunnel(client, down, through).await;
                    return drop(count);
                }
                Err(refused) => refused,
            }
        }
        Ok((host, port)) => {
            let spoken = Spoken::Http { method: method.clone(), path: head.path().into() };
            let asked = Asked { caller, host, port, spoken };
            // Only HTTP/1 switches protocols.
            let incoming = Incoming { head, content, upgrade: None };
            match forward::exchange(client, &mut down, incoming, &asked, pool, &mut record).await {
                Ok(_) => return,
                Err(refused) => refused,
            }
        }
    };
    let told = Told::of(&mut record, &refused);
    if reply::write(&mut down, &method, version, true, &told).is_ok() {
        // A client that has left needs no answer.
        flush(client, &mut down).await;
    }
}

/// A tunnel counts as a connection of the listener, however many share one.
async fn connect(
    client: &Client,
    asked: &Asked,
    record: &mut Record,
) -> Result<(Permit, TcpStream, ConnectionCount), Refused> {
    let count = client.admit().ok_or(Reason::Overload)?;
    let (permit, stream) = open::open(client, asked, record).await?;
    Ok((permit, stream, count))
}

/// The policies have said yes: so does the gateway.
async fn open_tunnel(client: &Client, down: Downstream<Transport>, through: Through) {
    let Downstream::Http2(exchange) = down else { return };
    // A client that has left in the meantime needs no answer; its record says so.
    if let Ok(tunnel) = exchange.into_tunnel(Headers::default()) {
        tunnel::serve(client, (Transport::Carried(Box::new(tunnel)), BytesMut::new()), through).await;
    }
}

/// What HTTP/1 tells by the form of the target.
fn form(client: &Client, head: &RequestHead) -> TargetForm {
    let is_proxy = client.is_forward_proxy();
    match (head.method == Method::CONNECT, head.scheme) {
        (true, _) => TargetForm::Authority,
        (false, Scheme::Http) if !is_proxy => TargetForm::Origin,
        (false, scheme) => TargetForm::Absolute(scheme),
    }
}
