//! A client and its messages.

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, Version};
use sekisho_codec::http2::{Failure, Handed, Reason, StreamKey, Taken};
use sekisho_codec::{BodyKind, Headers, Piece, RequestHead, Scheme};

use crate::support::*;

fn ask(method: Method) -> RequestHead {
    RequestHead {
        method,
        scheme: Scheme::Http,
        authority: HeaderValue::from_static("a"),
        target: Bytes::from_static(b"/x?<y>"),
        version: Version::HTTP_11,
        headers: Headers::default(),
    }
}

fn open(side: &mut Side) -> StreamKey {
    side.connection.open(&ask(Method::GET), BodyKind::Empty).unwrap()
}

#[test]
fn a_connection_begins_when_the_server_has_said_what_it_takes() {
    let mut side = Side::new(sekisho_codec::http2::Role::Client, LIMITS);
    assert_eq!(side.says(), ["PRI", "SETTINGS 3"]);
    assert_eq!(side.connection.peer_max_streams(), None);
    assert!(side.connection.open(&ask(Method::GET), BodyKind::Empty).is_none());
    side.hears(&settings(&[(3, 1)]));
    assert_eq!(side.connection.peer_max_streams(), Some(1));
    open(&mut side);
    assert!(!side.connection.can_open());
}

#[test]
fn a_request_goes_out_and_its_answer_comes_in() {
    let mut side = client();
    let stream = side.connection.open(&ask(Method::POST), BodyKind::Length(2)).unwrap();
    side.connection.queue(stream, Piece::Data(Bytes::from_static(b"hi")));
    side.connection.finish(stream);
    assert_eq!(side.connection.hand_over(stream), Handed::All);
    assert_eq!(side.says(), ["HEADERS 1 POST http a /x?%3Cy%3E content-length=2", "DATA 1 \"hi\" end"]);
    side.hears(&headers(1, 0, &with(b"\x08\x03103", &[("link", "</x>")])));
    side.hears(&headers(1, 0, &with(b"\x88", &[("content-length", "3")])));
    side.hears(&data(1, END_STREAM, b"yes"));
    let (interim, _) = side.connection.take_response(stream).unwrap().unwrap();
    let (head, kind) = side.connection.take_response(stream).unwrap().unwrap();
    assert_eq!((interim.status.as_u16(), head.status.as_u16(), kind), (103, 200, BodyKind::Length(3)));
    assert!(matches!(side.connection.take(stream), Taken::Piece(Piece::Data(data)) if data == "yes"));
    assert!(matches!(side.connection.take(stream), Taken::End));
    side.connection.release(stream);
    assert!(side.says().is_empty());
}

#[test]
fn a_goodbye_names_what_was_not_processed() {
    let mut side = client();
    let (first, second) = (open(&mut side), open(&mut side));
    side.hears(&frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
    assert_eq!(side.connection.failure(second), Some(Failure::NotProcessed));
    assert_eq!(side.connection.failure(first), None);
    assert!(!side.connection.can_open());
    side.hears(&headers(1, END_STREAM, b"\x89"));
    assert!(side.connection.take_response(first).unwrap().is_some());
    side.connection.release(first);
    side.connection.release(second);
    assert!(side.connection.is_finished());
}

#[test]
fn resets_are_told_with_their_reason() {
    let mut side = client();
    let stream = open(&mut side);
    side.hears(&frame(3, 0, 1, &7u32.to_be_bytes()));
    assert_eq!(side.connection.take_response(stream).unwrap_err(), Failure::Reset(Reason::REFUSED_STREAM));
}

#[test]
fn an_answer_that_was_complete_survives_the_reset_after_it() {
    let mut side = client();
    let stream = side.connection.open(&ask(Method::POST), BodyKind::Unknown).unwrap();
    side.hears(&[headers(1, 0, b"\x88"), data(1, END_STREAM, b"no"), frame(3, 0, 1, &[0; 4])].concat());
    side.connection.queue(stream, Piece::Data(Bytes::from_static(b"late")));
    assert!(matches!(side.connection.hand_over(stream), Handed::Failed(_)));
    assert!(side.connection.take_response(stream).unwrap().is_some());
    assert!(matches!(side.connection.take(stream), Taken::Piece(_)));
    assert!(matches!(side.connection.take(stream), Taken::End));
}

#[test]
fn what_arrives_for_a_cancelled_request_is_dropped() {
    let mut side = client();
    let stream = open(&mut side);
    side.connection.release(stream);
    assert_eq!(side.says(), ["HEADERS 1 GET http a /x?%3Cy%3E end", "RST_STREAM 1 CANCEL"]);
    assert!(side.answers(&[headers(1, 0, b"\x88"), data(1, END_STREAM, b"late")].concat()).is_empty());
    assert!(side.connection.can_open());
}

#[test]
fn answers_that_make_no_sense_cost_their_stream() {
    let cases: [(&str, Vec<u8>); 7] = [
        ("no status", headers(1, 0, &field("x", "1"))),
        ("a status twice", headers(1, 0, b"\x88\x88")),
        ("101", headers(1, 0, b"\x08\x03101")),
        ("a request's field", headers(1, 0, b"\x88\x84")),
        ("content first", data(1, 0, b"x")),
        ("a list that is too large", headers(1, 0, &[&[0x88][..], &[0x90; 16_000]].concat())),
        ("an interim answer that ends", headers(1, END_STREAM, b"\x08\x03103")),
    ];
    for (what, wire) in cases {
        let mut side = client();
        let stream = open(&mut side);
        side.says();
        assert_eq!(side.answers(&wire), ["RST_STREAM 1 PROTOCOL_ERROR"], "{what}");
        assert!(matches!(side.connection.failure(stream), Some(Failure::Violation(_))), "{what}");
    }
}

#[test]
fn informational_answers_without_end_are_bounded() {
    let mut side = client();
    let stream = open(&mut side);
    side.hears(&headers(1, 0, b"\x08\x03103").repeat(200));
    assert!(matches!(side.connection.failure(stream), Some(Failure::Violation(_))));
}

#[test]
fn the_last_handle_says_goodbye() {
    let mut side = client();
    side.connection.close();
    assert_eq!(side.says(), ["GOAWAY 0 NO_ERROR"]);
    assert!(side.connection.is_finished() && !side.connection.can_open());
}
