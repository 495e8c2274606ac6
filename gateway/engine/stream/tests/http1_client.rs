//! HTTP/1 connections to servers.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::poll_fn;

use http::{HeaderValue, Method, StatusCode};
use sekisho_codec::Piece;
use sekisho_codec::http1::Framing;
use sekisho_stream::{BodyKind, StreamErrorKind};
use support::{Connection, arrived, ask, content, data, flush, headers, once, pair, response};
use tokio::io::{AsyncWriteExt, DuplexStream};

async fn get(connection: &mut Connection, peer: &mut DuplexStream) {
    connection.start_request(&ask(Method::GET, "/x"), BodyKind::Empty, None).unwrap();
    flush(connection).await.unwrap();
    assert_eq!(arrived(peer).await, "GET /x HTTP/1.1\r\nhost: a.example:81\r\n\r\n");
}

#[tokio::test]
async fn a_connection_is_reusable_after_each_complete_exchange() {
    let (mut connection, mut peer) = pair(4096);
    assert!(connection.is_reusable());
    for _ in 0..3 {
        get(&mut connection, &mut peer).await;
        assert!(!connection.is_reusable());
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok").await.unwrap();
        let answer = response(&mut connection, &Method::GET).await.unwrap();
        assert_eq!((answer.head.status, answer.framing), (StatusCode::OK, Framing::Length(2)));
        assert!(!connection.is_reusable());
        assert_eq!(content!(connection).unwrap().text(), "ok");
        assert!(connection.is_reusable());
        assert!(once(|cx| connection.poll_idle(cx)).is_pending());
    }
}

#[tokio::test]
async fn content_goes_out_in_one_write_with_its_head() {
    let (mut connection, mut peer) = pair(4096);
    connection.start_request(&ask(Method::POST, "/x"), BodyKind::Length(5), None).unwrap();
    connection.send(data("hello")).unwrap();
    connection.finish();
    assert!(connection.send_done());
    flush(&mut connection).await.unwrap();
    let expected = "POST /x HTTP/1.1\r\nhost: a.example:81\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(arrived(&mut peer).await, expected);

    peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    response(&mut connection, &Method::POST).await.unwrap();
    assert!(connection.is_reusable());
    connection.start_request(&ask(Method::POST, "/x"), BodyKind::Unknown, None).unwrap();
    connection.send(data("hi")).unwrap();
    connection.send(Piece::Trailers(headers(&[("x-sum", "1")]))).unwrap();
    flush(&mut connection).await.unwrap();
    let expected =
        "POST /x HTTP/1.1\r\nhost: a.example:81\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n";
    assert_eq!(arrived(&mut peer).await, expected);
}

#[tokio::test]
async fn informational_responses_come_one_by_one_before_the_final_one() {
    let (mut connection, mut peer) = pair(4096);
    get(&mut connection, &mut peer).await;
    peer.write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await.unwrap();
    peer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n")
        .await
        .unwrap();
    for status in [100, 103] {
        let answer = response(&mut connection, &Method::GET).await.unwrap();
        assert_eq!(answer.head.status, status);
        assert!(!connection.recv_done());
    }
    assert_eq!(response(&mut connection, &Method::GET).await.unwrap().head.status, 200);
    let received = content!(connection).unwrap();
    assert_eq!((received.text(), received.trailers.len()), ("a", 1));
    assert!(connection.is_reusable());
}

#[tokio::test]
async fn answers_without_content_complete_at_once() {
    let cases = [
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        (Method::GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ];
    for (method, wire) in cases {
        let (mut connection, mut peer) = pair(4096);
        connection.start_request(&ask(method.clone(), "/"), BodyKind::Empty, None).unwrap();
        flush(&mut connection).await.unwrap();
        peer.write_all(wire.as_bytes()).await.unwrap();
        response(&mut connection, &method).await.unwrap();
        assert!(connection.recv_done());
        assert_eq!(content!(connection).unwrap().text(), "");
        assert!(connection.is_reusable(), "{wire:?}");
    }
}

#[tokio::test]
async fn connections_that_must_not_be_used_again_are_not_reusable() {
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let old = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let too_much = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n";
    for wire in [close, old, too_much] {
        let (mut connection, mut peer) = pair(4096);
        get(&mut connection, &mut peer).await;
        peer.write_all(wire.as_bytes()).await.unwrap();
        response(&mut connection, &Method::GET).await.unwrap();
        assert_eq!(content!(connection).unwrap().text(), "ok");
        assert!(!connection.is_reusable(), "{wire:?}");
        assert!(once(|cx| connection.poll_idle(cx)).is_ready());
    }
    // The request is not sent completely.
    let (mut connection, mut peer) = pair(4096);
    connection.start_request(&ask(Method::POST, "/"), BodyKind::Length(10), None).unwrap();
    flush(&mut connection).await.unwrap();
    peer.write_all(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(response(&mut connection, &Method::POST).await.unwrap().head.status, 413);
    assert!(connection.recv_done() && !connection.is_reusable());
}

#[tokio::test]
async fn an_idle_connection_notices_its_peer() {
    let (mut connection, mut peer) = pair(4096);
    assert!(once(|cx| connection.poll_idle(cx)).is_pending());
    peer.write_all(b"x").await.unwrap();
    poll_fn(|cx| connection.poll_idle(cx)).await;
    assert!(!connection.is_reusable());
    let (mut connection, peer) = pair(4096);
    assert!(once(|cx| connection.poll_idle(cx)).is_pending());
    drop(peer);
    poll_fn(|cx| connection.poll_idle(cx)).await;
    assert!(!connection.is_reusable());
}

#[tokio::test]
async fn content_may_last_until_the_connection_closes() {
    let (mut connection, mut peer) = pair(4096);
    get(&mut connection, &mut peer).await;
    peer.write_all(b"HTTP/1.1 200 OK\r\n\r\nall").await.unwrap();
    response(&mut connection, &Method::GET).await.unwrap();
    peer.write_all(b" of it").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(content!(connection).unwrap().text(), "all of it");
    assert!(connection.recv_done() && !connection.is_reusable());
}

#[tokio::test]
async fn a_server_that_leaves_is_told_from_one_that_stops_in_the_middle() {
    let cases = [
        ("", StreamErrorKind::Closed),
        ("HTTP/1.1 200", StreamErrorKind::Truncated),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", StreamErrorKind::Protocol("")),
    ];
    for (wire, kind) in cases {
        let (mut connection, mut peer) = pair(4096);
        get(&mut connection, &mut peer).await;
        peer.write_all(wire.as_bytes()).await.unwrap();
        drop(peer);
        let error = response(&mut connection, &Method::GET).await.unwrap_err();
        match kind {
            StreamErrorKind::Protocol(_) => assert!(matches!(error.kind, StreamErrorKind::Protocol(_))),
            kind => assert_eq!(error.kind, kind, "{wire:?}"),
        }
        assert!(!connection.is_reusable());
    }
    for wire in
        ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1"]
    {
        let (mut connection, mut peer) = pair(4096);
        get(&mut connection, &mut peer).await;
        peer.write_all(wire.as_bytes()).await.unwrap();
        drop(peer);
        response(&mut connection, &Method::GET).await.unwrap();
        assert_eq!(content!(connection).unwrap_err().kind, StreamErrorKind::Truncated);
    }
}

#[tokio::test]
async fn a_switch_of_protocols_hands_over_what_was_read_too_far() {
    let (mut connection, mut peer) = pair(4096);
    let websocket = HeaderValue::from_static("websocket");
    connection.start_request(&ask(Method::GET, "/ws"), BodyKind::Empty, Some(&websocket)).unwrap();
    flush(&mut connection).await.unwrap();
    let sent = arrived(&mut peer).await;
    assert!(sent.ends_with("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{sent:?}");
    peer.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nframes")
        .await
        .unwrap();
    let answer = response(&mut connection, &Method::GET).await.unwrap();
    assert_eq!((answer.head.status, answer.upgrade), (StatusCode::SWITCHING_PROTOCOLS, Some(websocket)));
    assert!(!connection.is_reusable());
    assert_eq!(connection.into_parts().1, "frames");
}
