//! What clients of HTTP/2 may not do, and what happens when they do it.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::{Method, Request, StatusCode, Version};
use sekisho_stream::{BodyKind, Http2Options, StreamErrorKind};
use support::http2::{accept, flushed, local, serve, server};
use support::{data, fields, head};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::spawn_local;

/// A client that sends what it is told to.
async fn raw(io: DuplexStream) -> SendRequest<Bytes> {
    let (sender, connection) = h2::client::handshake(io).await.unwrap();
    spawn_local(async move { connection.await.ok() });
    sender.ready().await.unwrap()
}

fn get(uri: &str, list: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::builder().method(Method::GET).uri(uri).version(Version::HTTP_2);
    for (name, value) in list {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

async fn status(sender: &mut SendRequest<Bytes>, request: Request<()>) -> Result<u16, Option<Reason>> {
    let (response, _) = sender.send_request(request, true).unwrap();
    response.await.map(|response| response.status().as_u16()).map_err(|error| error.reason())
}

#[tokio::test]
async fn heads_that_could_be_misread_are_refused() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        serve(server, |(_, _, mut exchange)| async move {
            exchange.start_response(&head(204), BodyKind::Empty).unwrap();
        });
        let mut sender = raw(io).await;
        let cases = [
            (get("http://a/", &[]), 204),
            (get("http://a:80/", &[("host", "A:80")]), 204),
            (get("http://a/", &[("host", "b")]), 400),
            (get("http://a/", &[("host", "a"), ("host", "a")]), 400),
            (get("http://u@a/", &[]), 400),
            (get("http://a/%00", &[]), 400),
            (get("http://a/x%2f..%2fy", &[]), 400),
            (get("http://a/", &[("te", "trailers")]), 204),
        ];
        for (request, expected) in cases {
            let text = format!("{request:?}");
            assert_eq!(status(&mut sender, request).await, Ok(expected), "{text}");
        }
        let connect =
            Request::builder().method(Method::CONNECT).uri("a:443").version(Version::HTTP_2).body(()).unwrap();
        assert_eq!(status(&mut sender, connect).await, Ok(501));
        let lengths = get("http://a/", &[("content-length", "1"), ("content-length", "2")]);
        let (response, _body) = sender.send_request(lengths, false).unwrap();
        assert_eq!(response.await.unwrap_err().reason(), Some(Reason::PROTOCOL_ERROR));
    })
    .await;
}

#[tokio::test]
async fn fields_that_belong_to_http_1_connections_are_refused() {
    local(async {
        let fields = [
            ("te", "gzip"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("keep-alive", "1"),
            ("proxy-connection", "x"),
            ("Upper-Case", "x"),
        ];
        for (name, value) in fields {
            let (server, io) = server(&Http2Options::default());
            serve(server, |_| async { panic!("the request was let through") });
            let literal = [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat();
            let mut wire = preface();
            wire.extend_from_slice(&frame(0x1, 0x5, 1, &[REQUEST, &literal].concat()));
            wire.extend_from_slice(&frame(0x7, 0, 0, &[0; 8]));
            let frames = frames(io, wire).await;
            let refusal = frames.iter().find(|(kind, _)| matches!(kind, 0x3 | 0x7)).unwrap();
            let reason = &refusal.1[refusal.1.len() - 4..];
            assert_eq!(u32::from_be_bytes(reason.try_into().unwrap()), u32::from(Reason::PROTOCOL_ERROR), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_authority_may_come_as_host_and_cookies_in_crumbs() {
    local(async {
        let (mut server, io) = server(&Http2Options::default());
        let mut sender = raw(io).await;
        // A request of a lower version goes out without `:authority`.
        let mut request = Request::builder().uri("/x/../y").header("host", "b.example:81").body(()).unwrap();
        for crumb in ["a=1", "b=2; c=3", "d=4"] {
            request.headers_mut().append("cookie", crumb.parse().unwrap());
        }
        // Kept: a request that is cancelled at once is not shown.
        let _asked = sender.send_request(request, true).unwrap();
        let (head, kind, _exchange) = accept(&mut server).await.unwrap().unwrap();
        assert_eq!(
            (head.authority.to_str().unwrap(), head.target_str(), kind),
            ("b.example:81", "/y", BodyKind::Empty)
        );
        assert_eq!(fields(&head.headers), [("cookie".to_owned(), "a=1; b=2; c=3; d=4".to_owned())]);
        drop(sender.send_request(Request::builder().uri("/").body(()).unwrap(), true).unwrap());
        let refused = tokio::time::timeout(Duration::from_millis(50), accept(&mut server)).await;
        assert!(refused.is_err());
        assert_eq!(server.take_refused(), Some(StatusCode::BAD_REQUEST));
    })
    .await;
}

#[tokio::test]
async fn header_lists_are_bounded() {
    local(async {
        let options = Http2Options { max_header_list_size: 4096, ..Http2Options::default() };
        let (server, io) = server(&options);
        serve(server, |(_, _, mut exchange)| async move {
            exchange.start_response(&head(204), BodyKind::Empty).unwrap();
        });
        let mut sender = raw(io).await;
        assert_eq!(status(&mut sender, get("http://a/", &[("x", &"y".repeat(5000))])).await, Ok(431));
        assert_eq!(status(&mut sender, get("http://a/", &[("x", &"y".repeat(2000))])).await, Ok(204));
    })
    .await;
}

#[tokio::test]
async fn the_last_piece_carries_the_end_of_the_stream() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        serve(server, |(_, _, mut exchange)| async move {
            exchange.start_response(&head(200), BodyKind::Length(6)).unwrap();
            poll_fn(|cx| exchange.poll_send_ready(cx)).await.unwrap();
            exchange.send(data("one")).unwrap();
            poll_fn(|cx| exchange.poll_send_ready(cx)).await.unwrap();
            exchange.send(data("two")).unwrap();
            poll_fn(|cx| exchange.poll_send_ready(cx)).await.unwrap();
            exchange.finish();
            flushed!(exchange).unwrap();
        });
        let mut sender = raw(io).await;
        let (response, _) = sender.send_request(get("http://a/", &[]), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "one");
        assert!(!body.is_end_stream());
        assert_eq!(body.data().await.unwrap().unwrap(), "two");
        assert!(body.is_end_stream());
    })
    .await;
}

#[tokio::test]
async fn clients_that_cancel_too_much_lose_their_connection() {
    for looks in [true, false] {
        local(async move {
            let options = Http2Options { max_resets_per_connection: 20, ..Http2Options::default() };
            let (server, io) = server(&options);
            let serving = serve(server, move |(_, _, mut exchange)| async move {
                if looks {
                    poll_fn(|cx| exchange.poll_reset(cx)).await;
                } else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let mut sender = raw(io).await;
            let mut opened = 0;
            let error = loop {
                sender = match sender.ready().await {
                    Ok(sender) => sender,
                    Err(error) => break error,
                };
                let (response, mut body) = match sender.send_request(get("http://a/", &[]), false) {
                    Ok(sent) => sent,
                    Err(error) => break error,
                };
                opened += 1;
                assert!(opened < 60);
                tokio::time::sleep(Duration::from_millis(2)).await;
                body.send_reset(Reason::CANCEL);
                drop(response);
                tokio::time::sleep(Duration::from_millis(2)).await;
            };
            assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM), "{error:?}");
            assert!(opened > 20, "{opened}");
            let ended = serving.await.unwrap().unwrap();
            assert!(matches!(ended.kind, StreamErrorKind::Protocol(text) if text.contains("cancels")), "{ended:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn streams_cancelled_before_anybody_sees_them_are_bounded() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        let serving = serve(server, |(_, _, exchange)| async move { drop(exchange) });
        let mut wire = preface();
        for stream in (1..2001u32).step_by(2) {
            wire.extend_from_slice(&frame(0x1, 0x4, stream, REQUEST));
            wire.extend_from_slice(&frame(0x3, 0, stream, &8u32.to_be_bytes()));
        }
        let goaway = goaway_reason(io, wire).await;
        assert_eq!(goaway, Some(Reason::ENHANCE_YOUR_CALM));
        assert!(serving.await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_continuation_frames_ends_the_connection() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        let serving = serve(server, |(_, _, exchange)| async move { drop(exchange) });
        let mut wire = preface();
        wire.extend_from_slice(&frame(0x1, 0, 1, REQUEST));
        for _ in 0..1000 {
            wire.extend_from_slice(&frame(0x9, 0, 1, b""));
        }
        assert_eq!(goaway_reason(io, wire).await, Some(Reason::ENHANCE_YOUR_CALM));
        assert!(serving.await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn what_is_not_http_2_is_not_answered_for_long() {
    local(async {
        let (mut server, mut io) = server(&Http2Options::default());
        io.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let error = accept(&mut server).await.unwrap().err().unwrap();
        assert!(matches!(error.kind, StreamErrorKind::Protocol(_)), "{error:?}");
        assert!(accept(&mut server).await.is_none());
        let (mut server, io) = support::http2::server(&Http2Options::default());
        drop(io);
        assert!(accept(&mut server).await.unwrap().is_err());
    })
    .await;
}

/// `:method GET`, `:scheme http`, `:path /`, `:authority a`.
const REQUEST: &[u8] = b"\x82\x86\x84\x41\x01a";

fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(0x4, 0, 0, b"")].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends `wire`, and reads frames until the server leaves, or for a moment.
async fn frames(mut io: DuplexStream, wire: Vec<u8>) -> Vec<(u8, Vec<u8>)> {
    // The server may leave before it has read everything.
    io.write_all(&wire).await.ok();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_millis(100), io.read_to_end(&mut answer)).await.ok();
    let mut rest = answer.as_slice();
    let mut frames = Vec::new();
    while let [high, middle, low, kind, _flags, _, _, _, _, payload @ ..] = rest {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        frames.push((*kind, payload[..length].to_vec()));
        rest = &payload[length..];
    }
    frames
}

/// Why the server went after it had got `wire`.
async fn goaway_reason(io: DuplexStream, wire: Vec<u8>) -> Option<Reason> {
    let frames = frames(io, wire).await;
    let goaway = frames.iter().find(|(kind, _)| *kind == 0x7)?;
    Some(Reason::from(u32::from_be_bytes(goaway.1[4..8].try_into().unwrap())))
}
