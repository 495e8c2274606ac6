//! A server and its messages, in good order.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use sekisho_codec::http2::{Failure, Handed, Reason, Role, StreamKey, Taken};
use sekisho_codec::{BodyKind, Headers, Piece, ResponseHead, Scheme};

use crate::support::*;

fn status(code: u16) -> ResponseHead {
    ResponseHead { status: StatusCode::from_u16(code).unwrap(), headers: Headers::default() }
}

fn content(side: &mut Side, stream: StreamKey) -> String {
    let mut text = String::new();
    loop {
        match side.connection.take(stream) {
            Taken::Piece(Piece::Data(data)) => text.push_str(std::str::from_utf8(&data).unwrap()),
            Taken::Piece(Piece::Trailers(trailers)) => text.push_str(&format!(" +{}", trailers.len())),
            Taken::End => return text,
            other => panic!("{other:?} after {text}"),
        }
    }
}

#[test]
fn a_connection_begins_with_the_settings_of_both_sides() {
    let limits = sekisho_codec::http2::Limits { connection_window: 1 << 20, ..LIMITS };
    let mut side = Side::new(Role::Server(Scheme::Https), limits);
    assert_eq!(side.says(), ["SETTINGS 3", "WINDOW_UPDATE 0 +983041"]);
    assert!(side.answers(b"PRI * HTTP/2.0\r\n\r").is_empty());
    assert!(!side.connection.is_greeted());
    let mut side = Side::new(Role::Server(Scheme::Https), LIMITS);
    side.says();
    assert_eq!(side.answers(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings(&[])[..]].concat()), ["SETTINGS ack"]);
    assert!(side.connection.is_greeted());
}

#[test]
fn what_is_no_preface_or_no_settings_ends_the_connection() {
    let mut side = Side::new(Role::Server(Scheme::Http), LIMITS);
    side.says();
    assert_eq!(side.answers(b"GET / HTTP/1.1\r\n"), ["GOAWAY 0 PROTOCOL_ERROR"]);
    assert!(side.connection.is_finished());
    let mut side = Side::new(Role::Server(Scheme::Http), LIMITS);
    side.says();
    let wire = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &headers(1, END_STREAM, GET)[..]].concat();
    assert_eq!(side.answers(&wire), ["GOAWAY 0 PROTOCOL_ERROR"]);
}

#[test]
fn a_request_is_answered() {
    let mut side = server();
    assert!(side.answers(&headers(1, END_STREAM, GET)).is_empty());
    let accepted = side.accepts();
    assert_eq!((accepted.head.method.as_str(), accepted.head.target_str()), ("GET", "/"));
    assert_eq!((accepted.head.authority.to_str().unwrap(), accepted.kind), ("a", BodyKind::Empty));
    let mut head = status(200);
    head.headers.append(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    head.headers.append(HeaderName::from_static("connection"), HeaderValue::from_static("close"));
    side.connection.respond(accepted.stream, &head, BodyKind::Length(5)).unwrap();
    assert!(side.connection.queue(accepted.stream, Piece::Data(Bytes::from_static(b"hello"))));
    side.connection.finish(accepted.stream);
    assert_eq!(side.connection.hand_over(accepted.stream), Handed::All);
    assert_eq!(side.says(), ["HEADERS 1 200 content-length=5 content-type=text/plain", "DATA 1 \"hello\" end"]);
    side.connection.release(accepted.stream);
    assert!(side.says().is_empty());
}

#[test]
fn content_and_trailers_go_both_ways() {
    let mut side = server();
    side.hears(&headers(1, 0, POST));
    let stream = side.accepts().stream;
    side.hears(&data(1, 0, b"ques"));
    side.hears(&data(1, PADDED, b"\x03tionxxx"));
    side.hears(&headers(1, END_STREAM, &field("x-sum", "1")));
    assert_eq!(content(&mut side, stream), "question +1");
    side.connection.respond(stream, &status(200), BodyKind::Unknown).unwrap();
    let mut trailers = Headers::default();
    trailers.append(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    side.connection.queue(stream, Piece::Trailers(trailers));
    assert_eq!(side.connection.hand_over(stream), Handed::All);
    assert_eq!(side.says(), ["HEADERS 1 200", "HEADERS 1 grpc-status=0 end"]);
}

#[test]
fn heads_come_in_as_many_frames_as_they_like() {
    let mut side = server();
    let block = with(GET, &[("x-long", &"y".repeat(200))]);
    side.hears(&frame(1, END_STREAM, 1, &block[..20]));
    side.hears(&frame(9, 0, 1, &block[20..100]));
    assert!(side.connection.pop_accepted().is_none());
    side.hears(&frame(9, END_HEADERS, 1, &block[100..]));
    assert_eq!(side.accepts().head.headers.len(), 1);
}

#[test]
fn a_head_that_is_too_long_for_a_frame_goes_out_in_several() {
    let mut side = server();
    side.hears(&headers(1, END_STREAM, GET));
    let stream = side.accepts().stream;
    let mut head = status(200);
    for _ in 0..20 {
        head.headers.append(HeaderName::from_static("x-long"), "z".repeat(2000).parse().unwrap());
    }
    side.connection.respond(stream, &head, BodyKind::Empty).unwrap();
    let waiting = side.connection.outgoing().buffer().clone();
    assert_eq!((waiting[3], waiting[4]), (1, END_STREAM));
    let second = 9 + 16_384;
    assert_eq!((waiting[second + 3], waiting[second + 4]), (9, 0));
    let third = 2 * second;
    assert_eq!((waiting[third + 3], waiting[third + 4]), (9, END_HEADERS));
}

#[test]
fn an_early_answer_tells_the_client_to_stop_sending() {
    let mut side = server();
    side.hears(&headers(1, 0, POST));
    let stream = side.accepts().stream;
    side.connection.respond(stream, &status(413), BodyKind::Empty).unwrap();
    side.connection.release(stream);
    assert_eq!(side.says(), ["HEADERS 1 413 end", "RST_STREAM 1 NO_ERROR"]);
    // What was under way is dropped, and its room given back.
    assert!(side.answers(&data(1, END_STREAM, b"late")).is_empty());
}

#[test]
fn a_stream_whose_owner_leaves_is_cancelled() {
    let mut side = server();
    side.hears(&headers(1, END_STREAM, GET));
    let stream = side.accepts().stream;
    side.connection.release(stream);
    assert_eq!(side.says(), ["RST_STREAM 1 CANCEL"]);
}

#[test]
fn a_client_that_cancels_is_noticed() {
    let mut side = server();
    side.hears(&headers(1, 0, POST));
    let stream = side.accepts().stream;
    side.hears(&reset(1));
    assert_eq!(side.connection.pop_changed(), Some(stream));
    assert_eq!(side.connection.failure(stream), Some(Failure::Reset(Reason::CANCEL)));
    assert!(side.connection.respond(stream, &status(200), BodyKind::Empty).is_err());
    side.connection.release(stream);
    assert!(side.says().is_empty());
}

#[test]
fn pings_and_settings_are_acknowledged() {
    let mut side = server();
    assert_eq!(side.answers(&frame(6, 0, 0, b"12345678")), ["PING ack"]);
    assert_eq!(side.answers(&settings(&[(0x1, 0), (0x4, 1000), (0xfff, 9)])), ["SETTINGS ack"]);
    assert!(side.answers(&frame(0xee, 0, 0, b"unknown")).is_empty());
}

#[test]
fn a_shutdown_says_goodbye_twice_and_serves_what_came_before() {
    let mut side = server();
    side.hears(&headers(1, END_STREAM, GET));
    let first = side.accepts().stream;
    side.connection.shut_down();
    assert_eq!(side.says(), ["GOAWAY 2147483647 NO_ERROR", "PING farewell"]);
    // Sent before the goodbye arrived: served.
    side.hears(&headers(3, END_STREAM, GET));
    let second = side.accepts().stream;
    assert_eq!(side.answers(&frame(6, 1, 0, b"farewell")), ["GOAWAY 3 NO_ERROR"]);
    // After it: not looked at.
    assert!(side.answers(&headers(5, END_STREAM, GET)).is_empty());
    assert!(side.connection.pop_accepted().is_none());
    for stream in [first, second] {
        assert!(!side.connection.is_finished());
        side.connection.respond(stream, &status(204), BodyKind::Empty).unwrap();
        side.connection.release(stream);
    }
    assert!(side.connection.is_finished());
}

#[test]
fn requests_that_are_well_formed_and_refused_are_answered() {
    let cases: [(&[u8], Fields, &str); 6] = [
        (b"\x82\x86\x84", &[], "400"),
        (GET, &[("host", "b")], "400"),
        (GET, &[("host", "a"), ("host", "a")], "400"),
        (b"\x82\x86\x84\x41\x03u@a", &[], "400"),
        (b"\x82\x86\x44\x04/%00\x41\x01a", &[], "400"),
        (b"\x42\x07CONNECT\x41\x01a", &[], "501"),
    ];
    for (head, fields, expected) in cases {
        let mut side = server();
        assert_eq!(side.answers(&headers(1, END_STREAM, &with(head, fields))), [format!("HEADERS 1 {expected} end")]);
        assert_eq!(side.connection.pop_refused().unwrap().as_str(), expected);
        side.hears(&headers(3, END_STREAM, GET));
        assert!(side.connection.pop_accepted().is_some(), "the connection goes on");
    }
    let mut side = server();
    let large = with(POST, &[("x", &"y".repeat(16_000)), ("z", &"z".repeat(1000))]);
    side.hears(&frame(1, 0, 1, &large[..16_000]));
    assert_eq!(
        side.answers(&frame(9, END_HEADERS, 1, &large[16_000..])),
        ["HEADERS 1 431 end", "RST_STREAM 1 NO_ERROR"]
    );
}
