//! HTTP/2 in both roles, against each other.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};
use sekisho_codec::{Piece, Scheme};
use sekisho_stream::{BodyKind, Http2Options, Reason, StreamErrorKind};
use support::http2::{answer, client, flushed, local, serve, server};
use support::{ask, content, data, fields, head, headers, once};

#[tokio::test]
async fn heads_content_and_trailers_go_both_ways() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        serve(server, |(request, kind, mut exchange)| async move {
            assert_eq!(request.method, Method::POST);
            assert_eq!(request.scheme, Scheme::Http);
            assert_eq!(request.authority, "a.example:81");
            assert_eq!(request.target_str(), "/x?y");
            assert_eq!(request.version, Version::HTTP_2);
            assert_eq!(fields(&request.headers), [("te".to_owned(), "trailers".to_owned())]);
            assert_eq!(kind, BodyKind::Unknown);
            let received = content!(exchange).unwrap();
            assert_eq!(received.text(), "question");
            assert_eq!(received.trailers, [("x-sum".to_owned(), "1".to_owned())]);
            assert!(exchange.recv_done());
            let mut response = head(200);
            response.headers = headers(&[("content-type", "application/grpc"), ("connection", "close")]);
            exchange.start_response(&response, BodyKind::Unknown).unwrap();
            exchange.send(data("ans")).unwrap();
            flushed!(exchange).unwrap();
            exchange.send(data("wer")).unwrap();
            exchange.send(Piece::Trailers(headers(&[("grpc-status", "0")]))).unwrap();
            exchange.finish();
            assert!(exchange.send_done());
            flushed!(exchange).unwrap();
        });
        let client = client(io).await;
        let mut asked = ask(Method::POST, "/x?y");
        asked.headers = headers(&[
            ("te", "trailers"),
            ("te", "gzip"),
            ("connection", "te"),
            ("upgrade", "x"),
            ("content-length", "3"),
        ]);
        let mut request = client.open(&asked, BodyKind::Unknown).unwrap();
        assert_eq!(client.in_flight(), 1);
        request.send(data("question")).unwrap();
        request.send(Piece::Trailers(headers(&[("x-sum", "1")]))).unwrap();
        flushed!(request).unwrap();
        let (response, kind) = answer(&mut request).await.unwrap();
        assert_eq!((response.status.as_u16(), kind), (200, BodyKind::Unknown));
        assert_eq!(fields(&response.headers), [("content-type".to_owned(), "application/grpc".to_owned())]);
        let received = content!(request).unwrap();
        assert_eq!(received.text(), "answer");
        assert_eq!(received.trailers, [("grpc-status".to_owned(), "0".to_owned())]);
        assert!(request.recv_done() && request.send_done());
        drop(request);
        assert_eq!(client.in_flight(), 0);
    })
    .await;
}

#[tokio::test]
async fn lengths_are_told_and_kept_consistent() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        serve(server, |(request, kind, mut exchange)| async move {
            let (asked, status, response_kind) = match request.path() {
                "/none" => (BodyKind::Empty, 200, BodyKind::Empty),
                "/some" => (BodyKind::Length(3), 200, BodyKind::Length(3)),
                "/head" => (BodyKind::Empty, 200, BodyKind::Length(9)),
                "/unmodified" => (BodyKind::Empty, 304, BodyKind::Empty),
                _ => (BodyKind::Empty, 204, BodyKind::Empty),
            };
            assert_eq!(kind, asked);
            let mut response = head(status);
            response.headers = headers(&[("content-length", "77")]);
            exchange.start_response(&response, response_kind).unwrap();
            if !response_kind.is_empty() {
                exchange.send(data("abc")).unwrap();
            }
            exchange.finish();
            flushed!(exchange).unwrap();
        });
        let client = client(io).await;
        let cases = [
            (Method::GET, "/none", BodyKind::Empty, BodyKind::Empty, None, ""),
            (Method::POST, "/some", BodyKind::Length(3), BodyKind::Length(3), None, "abc"),
            (Method::HEAD, "/head", BodyKind::Empty, BodyKind::Empty, Some("9"), ""),
            (Method::GET, "/unmodified", BodyKind::Empty, BodyKind::Empty, Some("77"), ""),
            (Method::GET, "/nothing", BodyKind::Empty, BodyKind::Empty, None, ""),
        ];
        for (method, target, asked, answered, length, text) in cases {
            let mut request = client.open(&ask(method, target), asked).unwrap();
            if !asked.is_empty() {
                request.send(data("abc")).unwrap();
            }
            request.finish();
            flushed!(request).expect(target);
            let (response, kind) = answer(&mut request).await.expect(target);
            assert_eq!(kind, answered, "{target}");
            let told = response.headers.get(&http::header::CONTENT_LENGTH).map(|value| value.to_str().unwrap());
            assert_eq!(told, length, "{target}");
            assert_eq!(content!(request).unwrap().text(), text, "{target}");
        }
    })
    .await;
}

#[tokio::test]
async fn content_larger_than_the_windows_flows_both_ways() {
    local(async {
        let options =
            Http2Options { stream_window: 16 * 1024, connection_window: 64 * 1024, ..Http2Options::default() };
        let (server, io) = server(&options);
        serve(server, |(_, kind, mut exchange)| async move {
            assert_eq!(kind, BodyKind::Length(3_000_000));
            exchange.start_response(&head(200), kind).unwrap();
            loop {
                poll_fn(|cx| exchange.poll_send_ready(cx)).await.unwrap();
                match poll_fn(|cx| exchange.poll_recv(cx)).await {
                    Some(piece) => exchange.send(piece.unwrap()).unwrap(),
                    None => break,
                }
            }
            exchange.finish();
            flushed!(exchange).unwrap();
        });
        let client = client(io).await;
        let mut request = client.open(&ask(Method::POST, "/"), BodyKind::Length(3_000_000)).unwrap();
        let sent = Bytes::from((0..3_000_000u32).map(|index| (index % 249) as u8).collect::<Vec<_>>());
        let mut rest = sent.clone();
        let mut received = Vec::new();
        let mut answered = false;
        while !request.recv_done() {
            poll_fn(|cx| {
                let mut progress = false;
                while !rest.is_empty() && request.poll_send_ready(cx).is_ready() {
                    let piece = rest.split_to(rest.len().min(100_000));
                    request.send(Piece::Data(piece)).unwrap();
                    if rest.is_empty() {
                        request.finish();
                    }
                    progress = true;
                }
                let _ = request.poll_flush(cx);
                if !answered && request.poll_response(cx).is_ready() {
                    answered = true;
                    progress = true;
                }
                if answered {
                    while let std::task::Poll::Ready(Some(piece)) = request.poll_recv(cx) {
                        if let Piece::Data(data) = piece.unwrap() {
                            received.extend_from_slice(&data);
                        }
                        progress = true;
                    }
                }
                if progress { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }
        assert!(received == sent);
    })
    .await;
}

#[tokio::test]
async fn a_sender_is_never_ready_while_its_peer_does_not_read() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        serve(server, |(_, _, exchange)| async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(exchange);
        });
        let client = client(io).await;
        let mut request = client.open(&ask(Method::POST, "/"), BodyKind::Unknown).unwrap();
        let mut taken = 0;
        let filling = async {
            loop {
                poll_fn(|cx| request.poll_send_ready(cx)).await.unwrap();
                request.send(Piece::Data(Bytes::from(vec![0; 16 * 1024]))).unwrap();
                taken += 16 * 1024;
            }
        };
        assert!(tokio::time::timeout(Duration::from_millis(200), filling).await.is_err());
        assert!(taken <= 200 * 1024, "{taken}");
        for _ in 0..100 {
            assert!(once(|cx| request.poll_send_ready(cx)).is_pending());
        }
        // Others go on: what the stalled stream holds is its own window only.
        let mut other = client.open(&ask(Method::GET, "/"), BodyKind::Empty).unwrap();
        assert!(once(|cx| other.poll_response(cx)).is_pending());
    })
    .await;
}

#[tokio::test]
async fn cancelled_exchanges_are_noticed_on_the_other_side() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        let (noticed, mut notices) = tokio::sync::mpsc::unbounded_channel();
        serve(server, move |(request, _, mut exchange)| {
            let noticed = noticed.clone();
            async move {
                match request.path() {
                    "/refuse" => exchange.reset(Reason::REFUSED_STREAM),
                    "/reset" => {
                        exchange.start_response(&head(200), BodyKind::Unknown).unwrap();
                        exchange.send(data("some")).unwrap();
                        flushed!(exchange).unwrap();
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        exchange.reset(Reason::INTERNAL_ERROR);
                    }
                    "/started" => {
                        exchange.start_response(&head(200), BodyKind::Unknown).unwrap();
                        poll_fn(|cx| exchange.poll_reset(cx)).await;
                        noticed.send("started").unwrap();
                        assert!(exchange.send(data("x")).is_ok());
                        assert_eq!(flushed!(exchange).unwrap_err().kind, StreamErrorKind::Reset);
                    }
                    _ => {
                        poll_fn(|cx| exchange.poll_reset(cx)).await;
                        noticed.send("waiting").unwrap();
                        assert!(exchange.start_response(&head(200), BodyKind::Empty).is_err());
                    }
                }
            }
        });
        let client = client(io).await;
        let open = |target| client.open(&ask(Method::GET, target), BodyKind::Empty).unwrap();
        assert_eq!(answer(&mut open("/refuse")).await.unwrap_err().kind, StreamErrorKind::Refused);
        let mut cut = open("/reset");
        answer(&mut cut).await.unwrap();
        assert_eq!(content!(cut).unwrap_err().kind, StreamErrorKind::Reset);
        let mut started = open("/started");
        answer(&mut started).await.unwrap();
        drop(started);
        assert_eq!(notices.recv().await.unwrap(), "started");
        let mut waiting = open("/wait");
        assert!(once(|cx| waiting.poll_response(cx)).is_pending());
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(waiting);
        assert_eq!(notices.recv().await.unwrap(), "waiting");
        assert_eq!(client.in_flight(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_early_answer_can_be_read_though_the_request_cannot_be_sent() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        serve(server, |(_, _, mut exchange)| async move {
            exchange.start_response(&head(413), BodyKind::Length(5)).unwrap();
            exchange.send(data("large")).unwrap();
            exchange.finish();
            flushed!(exchange).unwrap();
        });
        let client = client(io).await;
        let mut request = client.open(&ask(Method::POST, "/"), BodyKind::Length(1_000_000)).unwrap();
        request.send(Piece::Data(Bytes::from(vec![0; 500_000]))).unwrap();
        assert_eq!(flushed!(request).unwrap_err().kind, StreamErrorKind::Reset);
        assert_eq!(answer(&mut request).await.unwrap().0.status, 413);
        assert_eq!(content!(request).unwrap().text(), "large");
    })
    .await;
}

#[tokio::test]
async fn informational_responses_and_leave_to_send_come_before_the_response() {
    local(async {
        let (server, io) = server(&Http2Options::default());
        serve(server, |(request, _, mut exchange)| async move {
            assert!(request.headers.is_empty());
            let mut hints = head(103);
            hints.headers = headers(&[("link", "</x>")]);
            exchange.send_informational(&hints);
            assert_eq!(content!(exchange).unwrap().text(), "hello");
            exchange.start_response(&head(204), BodyKind::Empty).unwrap();
            exchange.send_informational(&hints);
        });
        let client = client(io).await;
        let mut asked = ask(Method::POST, "/");
        asked.headers = headers(&[("expect", "100-continue")]);
        let mut request = client.open(&asked, BodyKind::Length(5)).unwrap();
        for status in [103, 100] {
            assert_eq!(answer(&mut request).await.unwrap().0.status, status);
        }
        request.send(data("hello")).unwrap();
        request.finish();
        flushed!(request).unwrap();
        assert_eq!(answer(&mut request).await.unwrap().0.status, 204);
    })
    .await;
}
