//! CONNECT over HTTP/2: a stream as bytes both ways.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Version};
use sekisho_codec::{Headers, RequestHead, Scheme};
use sekisho_stream::{BodyKind, Http2Client, Http2Options, Http2Tunnel};
use support::http2::{answer, client, local, serve, server};
use support::{ask, head};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

fn connect_to(authority: &'static str) -> RequestHead {
    RequestHead {
        method: Method::CONNECT,
        scheme: Scheme::Http,
        authority: HeaderValue::from_static(authority),
        target: Bytes::new(),
        version: Version::HTTP_2,
        headers: Headers::default(),
    }
}

fn taking() -> Http2Options {
    Http2Options { takes_connect: true, ..Http2Options::default() }
}

async fn tunnel(client: &Http2Client) -> Http2Tunnel {
    let mut request = client.open(&connect_to("10.0.0.1:80"), BodyKind::Unknown).unwrap();
    let (response, _) = answer(&mut request).await.unwrap();
    assert_eq!(response.status.as_u16(), 200);
    request.into_tunnel()
}

#[tokio::test]
async fn bytes_go_both_ways_and_ends_are_passed_on() {
    local(async {
        let (server, io) = server(&taking());
        serve(server, |(request, kind, exchange)| async move {
            assert_eq!((request.method, request.authority.to_str().unwrap()), (Method::CONNECT, "10.0.0.1:80"));
            assert_eq!((request.target.len(), kind), (0, BodyKind::Unknown));
            let mut tunnel = exchange.into_tunnel(Headers::default()).unwrap();
            let mut heard = String::new();
            tunnel.read_to_string(&mut heard).await.unwrap();
            tunnel.write_all(format!("heard {heard}").as_bytes()).await.unwrap();
            tunnel.shutdown().await.unwrap();
        });
        let client = client(io).await;
        let mut tunnel = tunnel(&client).await;
        tunnel.write_all(b"hello").await.unwrap();
        tunnel.shutdown().await.unwrap();
        let mut heard = String::new();
        tunnel.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "heard hello");
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_stops_holds_the_writer_back() {
    local(async {
        let (server, io) = server(&taking());
        let (resume, resumed) = tokio::sync::oneshot::channel::<()>();
        let resumed = std::cell::RefCell::new(Some(resumed));
        serve(server, move |(_, _, exchange)| {
            let resumed = resumed.borrow_mut().take().unwrap();
            async move {
                let mut tunnel = exchange.into_tunnel(Headers::default()).unwrap();
                resumed.await.unwrap();
                let mut heard = Vec::new();
                tunnel.read_to_end(&mut heard).await.unwrap();
                tunnel.write_all(heard.len().to_string().as_bytes()).await.unwrap();
                tunnel.shutdown().await.unwrap();
            }
        });
        let client = client(io).await;
        let mut tunnel = tunnel(&client).await;
        let block = vec![7; 16 * 1024];
        let mut sent = 0;
        // The window of the stream, and what may be queued beyond it.
        while timeout(Duration::from_millis(200), tunnel.write_all(&block)).await.is_ok() {
            sent += block.len();
            assert!(sent < 512 * 1024, "nothing holds the writer back");
        }
        resume.send(()).unwrap();
        // The write that was given up had taken in nothing.
        tunnel.write_all(&block).await.unwrap();
        tunnel.shutdown().await.unwrap();
        let mut heard = String::new();
        tunnel.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, (sent + block.len()).to_string());
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_that_is_dropped_is_reset_on_the_other_side() {
    local(async {
        let (server, io) = server(&taking());
        serve(server, |(_, _, exchange)| async move {
            drop(exchange.into_tunnel(Headers::default()).unwrap());
        });
        let client = client(io).await;
        let mut tunnel = tunnel(&client).await;
        let error = tunnel.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let write = poll_fn(|cx| match std::pin::Pin::new(&mut tunnel).poll_write(cx, b"x") {
            Poll::Pending => Poll::Ready(Ok(0)),
            ready => ready,
        });
        assert!(write.await.is_err());
    })
    .await;
}

#[tokio::test]
async fn without_leave_connect_is_not_implemented() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        serve(server, |(request, _, _)| async move { panic!("{request:?} came through") });
        let client = client(io).await;
        let mut request = client.open(&connect_to("10.0.0.1:80"), BodyKind::Unknown).unwrap();
        assert_eq!(answer(&mut request).await.unwrap().0.status.as_u16(), 501);
    })
    .await;
}

#[tokio::test]
async fn other_requests_pass_beside_tunnels() {
    local(async {
        let (server, io) = server(&taking());
        serve(server, |(request, _, mut exchange)| async move {
            let status = if request.method == Method::CONNECT { 200 } else { 400 };
            exchange.start_response(&head(status), BodyKind::Empty).unwrap();
        });
        let client = client(io).await;
        let mut request = client.open(&ask(Method::GET, "/"), BodyKind::Empty).unwrap();
        assert_eq!(answer(&mut request).await.unwrap().0.status.as_u16(), 400);
    })
    .await;
}
