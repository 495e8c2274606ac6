//! HTTP/1 connections of clients.
#![allow(clippy::unwrap_used)]

mod support;

use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, Version};
use sekisho_codec::Piece;
use sekisho_stream::{BodyKind, Http1, Preface, ResponseOptions, StreamErrorKind};
use support::{arrived, content, data, flush, head, headers, once, options, pair, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GET: &[u8] = b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let (mut connection, mut peer) = pair(4096);
    for round in 0..3 {
        peer.write_all(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
        let parsed = request(&mut connection).await.unwrap();
        assert_eq!(parsed.head.target_str(), "/x");
        assert!(!connection.recv_done() && !connection.send_done() && !connection.is_persistent());
        assert_eq!(content!(connection).unwrap().text(), "hello");
        connection.start_response(&head(200), BodyKind::Length(2), &options(&Method::POST)).unwrap();
        connection.send(data("ok")).unwrap();
        connection.finish();
        flush(&mut connection).await.unwrap();
        assert_eq!(arrived(&mut peer).await, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "round {round}");
        assert!(connection.is_persistent());
    }
    assert_eq!(connection.bytes_received(), 3 * 53);
    assert_eq!(connection.bytes_sent(), 3 * 40);
    drop(peer);
    assert_eq!(request(&mut connection).await.unwrap_err().kind, StreamErrorKind::Closed);
}

#[tokio::test]
async fn pipelined_requests_are_read_one_after_the_other() {
    let (mut connection, mut peer) = pair(4096);
    let chunked = b"POST /two HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    peer.write_all(&[GET, &chunked[..], b"GET /three HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await.unwrap();
    for (target, body) in [("/one", ""), ("/two", "hi"), ("/three", "")] {
        assert_eq!(request(&mut connection).await.unwrap().head.target_str(), target);
        assert_eq!(content!(connection).unwrap().text(), body);
        connection.start_response(&head(204), BodyKind::Empty, &options(&Method::GET)).unwrap();
        assert!(connection.is_persistent());
        assert!(!connection.is_reusable());
    }
    flush(&mut connection).await.unwrap();
    assert_eq!(arrived(&mut peer).await, "HTTP/1.1 204 No Content\r\n\r\n".repeat(3));
    assert!(connection.is_reusable());
}

#[tokio::test]
async fn chunks_and_trailers_go_both_ways() {
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n",
    )
    .await
    .unwrap();
    request(&mut connection).await.unwrap();
    let received = content!(connection).unwrap();
    assert_eq!(received.text(), "abc");
    assert_eq!(received.trailers, [("x-sum".to_owned(), "6".to_owned())]);
    connection.start_response(&head(200), BodyKind::Unknown, &options(&Method::POST)).unwrap();
    connection.send(data("abc")).unwrap();
    connection.send(data("")).unwrap();
    connection.send(Piece::Trailers(headers(&[("grpc-status", "0")]))).unwrap();
    assert!(connection.send_done());
    connection.finish();
    flush(&mut connection).await.unwrap();
    let expected = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\ngrpc-status: 0\r\n\r\n";
    assert_eq!(arrived(&mut peer).await, expected);
    assert!(connection.is_persistent());
}

#[tokio::test]
async fn answers_without_content_have_none() {
    let length = "content-length: 9\r\n";
    let cases = [
        (Method::HEAD, 200, BodyKind::Length(9), length),
        (Method::HEAD, 404, BodyKind::Length(9), length),
        (Method::HEAD, 200, BodyKind::Unknown, ""),
        (Method::HEAD, 200, BodyKind::Empty, ""),
        (Method::GET, 204, BodyKind::Length(9), ""),
        (Method::GET, 304, BodyKind::Length(9), ""),
        (Method::GET, 304, BodyKind::Unknown, ""),
        (Method::GET, 200, BodyKind::Empty, "content-length: 0\r\n"),
        (Method::GET, 200, BodyKind::Length(0), "content-length: 0\r\n"),
    ];
    for (method, status, kind, fields) in cases {
        let (mut connection, mut peer) = pair(4096);
        peer.write_all(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        request(&mut connection).await.unwrap();
        connection.start_response(&head(status), kind, &options(&method)).unwrap();
        assert!(connection.send_done());
        if !kind.is_empty() {
            connection.send(data("discarded")).unwrap();
        }
        connection.finish();
        flush(&mut connection).await.unwrap();
        let text = arrived(&mut peer).await;
        let end = format!("\r\n{fields}\r\n");
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")) && text.ends_with(&end),
            "{method} {kind:?}: {text:?}"
        );
        assert_eq!(text.lines().count(), 2 + fields.lines().count());
        assert!(connection.is_persistent());
    }
}

#[tokio::test]
async fn clients_of_http_1_0_get_what_they_understand() {
    let cases = [
        ("", BodyKind::Unknown, "connection: close\r\n\r\nabc", false),
        ("Connection: keep-alive\r\n", BodyKind::Unknown, "connection: close\r\n\r\nabc", false),
        ("", BodyKind::Length(3), "content-length: 3\r\nconnection: close\r\n\r\nabc", false),
        (
            "Connection: keep-alive\r\n",
            BodyKind::Length(3),
            "content-length: 3\r\nconnection: keep-alive\r\n\r\nabc",
            true,
        ),
    ];
    for (fields, kind, end, kept) in cases {
        let (mut connection, mut peer) = pair(4096);
        peer.write_all(format!("GET / HTTP/1.0\r\n{fields}\r\n").as_bytes()).await.unwrap();
        request(&mut connection).await.unwrap();
        connection.send_informational(&head(103));
        let options = ResponseOptions { version: Version::HTTP_10, ..options(&Method::GET) };
        connection.start_response(&head(200), kind, &options).unwrap();
        connection.send(data("abc")).unwrap();
        connection.finish();
        flush(&mut connection).await.unwrap();
        assert_eq!(arrived(&mut peer).await, format!("HTTP/1.1 200 OK\r\n{end}"));
        assert_eq!(connection.is_persistent(), kept, "{fields:?} {kind:?}");
    }
}

#[tokio::test]
async fn leave_to_send_content_is_given_when_the_content_is_wanted() {
    const EXPECTING: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(EXPECTING).await.unwrap();
    request(&mut connection).await.unwrap();
    assert_eq!(arrived(&mut peer).await, "");
    assert!(once(|cx| connection.poll_recv(cx)).is_pending());
    assert_eq!(arrived(&mut peer).await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(once(|cx| connection.poll_recv(cx)).is_pending());
    peer.write_all(b"hello").await.unwrap();
    assert_eq!(content!(connection).unwrap().text(), "hello");
    connection.start_response(&head(200), BodyKind::Empty, &options(&Method::POST)).unwrap();
    flush(&mut connection).await.unwrap();
    assert_eq!(arrived(&mut peer).await, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(connection.is_persistent());

    // A client that did not wait is not told to go on.
    peer.write_all(&[EXPECTING, b"hello"].concat()).await.unwrap();
    request(&mut connection).await.unwrap();
    assert_eq!(content!(connection).unwrap().text(), "hello");
    connection.start_response(&head(204), BodyKind::Empty, &options(&Method::POST)).unwrap();
    flush(&mut connection).await.unwrap();
    assert_eq!(arrived(&mut peer).await, "HTTP/1.1 204 No Content\r\n\r\n");

    // An answer without leave ends the connection: nobody knows whether content follows.
    peer.write_all(EXPECTING).await.unwrap();
    request(&mut connection).await.unwrap();
    connection.start_response(&head(413), BodyKind::Empty, &options(&Method::POST)).unwrap();
    assert!(once(|cx| connection.poll_recv(cx)).is_pending());
    flush(&mut connection).await.unwrap();
    let refusal = "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(arrived(&mut peer).await, refusal);
    assert!(!connection.is_persistent());
    assert_eq!(request(&mut connection).await.unwrap_err().kind, StreamErrorKind::Closed);
}

#[tokio::test]
async fn informational_responses_come_before_the_response() {
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(GET).await.unwrap();
    request(&mut connection).await.unwrap();
    let mut hints = head(103);
    hints.headers = headers(&[("link", "</x>")]);
    connection.send_informational(&hints);
    connection.start_response(&head(204), BodyKind::Empty, &options(&Method::GET)).unwrap();
    connection.send_informational(&hints);
    flush(&mut connection).await.unwrap();
    let expected = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(arrived(&mut peer).await, expected);
}

#[tokio::test]
async fn a_switch_of_protocols_hands_over_what_was_read_too_far() {
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes")
        .await
        .unwrap();
    let upgrade = request(&mut connection).await.unwrap().upgrade.unwrap();
    let options = ResponseOptions { upgrade: Some(&upgrade), ..options(&Method::GET) };
    connection.start_response(&head(101), BodyKind::Empty, &options).unwrap();
    flush(&mut connection).await.unwrap();
    let expected = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    assert_eq!(arrived(&mut peer).await, expected);
    assert!(!connection.is_persistent());
    let (mut io, unread) = connection.into_parts();
    assert_eq!(unread, "frames");
    io.write_all(b"raw").await.unwrap();
    assert_eq!(arrived(&mut peer).await, "raw");
}

#[tokio::test]
async fn a_sender_is_never_ready_while_its_peer_does_not_read() {
    let (mut connection, mut peer) = pair(1024);
    peer.write_all(GET).await.unwrap();
    request(&mut connection).await.unwrap();
    connection.start_response(&head(200), BodyKind::Unknown, &options(&Method::GET)).unwrap();
    let piece = Bytes::from(vec![b'x'; 10_000]);
    let mut taken = 0;
    while once(|cx| connection.poll_send_ready(cx)).is_ready() {
        connection.send(Piece::Data(piece.clone())).unwrap();
        taken += 1;
        assert!(taken < 10, "a sender was ready {taken} times");
    }
    for _ in 0..1000 {
        assert!(once(|cx| connection.poll_send_ready(cx)).is_pending());
        assert!(once(|cx| connection.poll_flush(cx)).is_pending());
    }
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        all
    });
    std::future::poll_fn(|cx| connection.poll_send_ready(cx)).await.unwrap();
    connection.finish();
    flush(&mut connection).await.unwrap();
    drop(connection);
    let all = reader.await.unwrap();
    assert_eq!(all.iter().filter(|byte| **byte == b'x').count(), taken * piece.len());
    assert!(all.ends_with(b"\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_peer_cannot_send_more_than_a_consumer_takes() {
    let (mut connection, mut peer) = pair(1024);
    peer.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await.unwrap();
    request(&mut connection).await.unwrap();
    let writer = tokio::spawn(async move { peer.write_all(&vec![b'x'; 1_000_000]).await });
    let waiting = std::future::poll_fn(|cx| connection.poll_closed(cx));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), waiting).await.is_err());
    assert!(connection.bytes_received() < 100 * 1024, "{}", connection.bytes_received());
    assert!(!writer.is_finished());
    assert_eq!(content!(connection).unwrap().data.len(), 1_000_000);
    writer.await.unwrap().unwrap();
}

#[tokio::test]
async fn large_content_arrives_whole_between_heads_and_small_pieces() {
    let (mut connection, mut peer) = pair(64 * 1024);
    peer.write_all(GET).await.unwrap();
    request(&mut connection).await.unwrap();
    let large = Bytes::from((0..300_000u32).map(|index| (index % 251) as u8).collect::<Vec<_>>());
    let kind = BodyKind::Length(2 * large.len() as u64 + 6);
    connection.start_response(&head(200), kind, &options(&Method::GET)).unwrap();
    for piece in [Bytes::from_static(b"abc"), large.clone(), Bytes::from_static(b"def"), large.clone()] {
        connection.send(Piece::Data(piece)).unwrap();
    }
    connection.finish();
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        all
    });
    flush(&mut connection).await.unwrap();
    drop(connection);
    let all = reader.await.unwrap();
    let start = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(all[start..], [&b"abc"[..], &large[..], b"def", &large[..]].concat());
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    let (mut connection, mut peer) = pair(4096);
    assert!(once(|cx| connection.poll_request(cx, &support::LIMITS, sekisho_codec::Scheme::Http)).is_pending());
    peer.write_all(GET).await.unwrap();
    request(&mut connection).await.unwrap();
    connection.start_response(&head(204), BodyKind::Empty, &options(&Method::GET)).unwrap();
    flush(&mut connection).await.unwrap();
    assert!(once(|cx| connection.poll_request(cx, &support::LIMITS, sekisho_codec::Scheme::Http)).is_pending());
    assert_eq!(connection.into_parts().1.capacity(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(&[GET, b"GET /next"].concat()).await.unwrap();
    request(&mut connection).await.unwrap();
    assert!(once(|cx| connection.poll_closed(cx)).is_pending());
    drop(peer);
    std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
    connection.start_response(&head(204), BodyKind::Empty, &options(&Method::GET)).unwrap();
    assert_eq!(flush(&mut connection).await.unwrap_err().kind, StreamErrorKind::Reset);
    assert_eq!(request(&mut connection).await.unwrap_err().kind, StreamErrorKind::Closed);
}

#[tokio::test]
async fn requests_that_end_early_or_are_malformed_have_errors_of_their_own() {
    let cases: [(&[u8], StreamErrorKind, Option<u16>); 5] = [
        (b"", StreamErrorKind::Closed, None),
        (b"GET / HT", StreamErrorKind::Truncated, None),
        (b"GET / HTTP/1.1\r\n\r\n", StreamErrorKind::Protocol("no Host is given"), Some(400)),
        (b"GET / HTTP/3.0\r\n\r\n", StreamErrorKind::UnsupportedVersion, Some(505)),
        (
            b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            StreamErrorKind::Unsupported("CONNECT is not supported"),
            Some(501),
        ),
    ];
    for (wire, kind, status) in cases {
        let (mut connection, mut peer) = pair(4096);
        peer.write_all(wire).await.unwrap();
        peer.shutdown().await.unwrap();
        let error = request(&mut connection).await.unwrap_err();
        assert_eq!((error.kind, error.status().map(|status| status.as_u16())), (kind, status));
    }
    let (mut connection, mut peer) = pair(32 * 1024);
    peer.write_all(&[b'x'; 9000]).await.unwrap();
    let error = request(&mut connection).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await.unwrap();
    drop(peer);
    request(&mut connection).await.unwrap();
    assert_eq!(content!(connection).unwrap_err().kind, StreamErrorKind::Truncated);
}

#[tokio::test]
async fn a_refused_head_can_still_be_answered() {
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let error = request(&mut connection).await.unwrap_err();
    let mut answer = head(400);
    answer.status = error.status().unwrap();
    connection.start_response(&answer, BodyKind::Empty, &options(&Method::GET)).unwrap();
    flush(&mut connection).await.unwrap();
    let expected = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(arrived(&mut peer).await, expected);
    assert!(request(&mut connection).await.is_err());
}

#[tokio::test]
async fn content_shorter_than_declared_fails_the_connection() {
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(GET).await.unwrap();
    request(&mut connection).await.unwrap();
    connection.start_response(&head(200), BodyKind::Length(5), &options(&Method::GET)).unwrap();
    connection.send(data("hel")).unwrap();
    connection.finish();
    assert!(matches!(flush(&mut connection).await.unwrap_err().kind, StreamErrorKind::Protocol(_)));
    assert!(!connection.is_persistent());
    let (mut connection, mut peer) = pair(4096);
    peer.write_all(GET).await.unwrap();
    request(&mut connection).await.unwrap();
    connection.start_response(&head(200), BodyKind::Length(5), &options(&Method::GET)).unwrap();
    assert!(connection.send(data("hello!")).is_err());
}

#[tokio::test]
async fn prior_knowledge_of_http_2_is_told_from_http_1() {
    let preface = |wire: &'static [u8]| async move {
        let (mut connection, mut peer) = pair(4096);
        for byte in wire {
            peer.write_all(&[*byte]).await.unwrap();
            if let Poll::Ready(found) = once(|cx| connection.poll_preface(cx)) {
                return (found, connection.into_parts().1);
            }
        }
        drop(peer);
        let found = std::future::poll_fn(|cx| connection.poll_preface(cx)).await;
        (found, connection.into_parts().1)
    };
    let whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(preface(whole).await, (Ok(Preface::Http2), BytesMut::from(&whole[..])));
    assert_eq!(preface(b"GET / HTTP/1.1").await, (Ok(Preface::Http1), BytesMut::from("G")));
    assert_eq!(preface(b"PRO").await.0, Ok(Preface::Http1));
    assert_eq!(preface(b"PRI * HTTP/2").await.0.unwrap_err().kind, StreamErrorKind::Truncated);
    assert_eq!(preface(b"").await.0.unwrap_err().kind, StreamErrorKind::Closed);
    let (ours, _peer) = tokio::io::duplex(64);
    let mut connection = Http1::with_buffered(ours, BytesMut::from(GET));
    assert_eq!(request(&mut connection).await.unwrap().head.target_str(), "/one");
}
