//! Flow control, in both directions.

use bytes::Bytes;
use http::StatusCode;
use sekisho_codec::http2::{Handed, Limits, StreamKey, Taken};
use sekisho_codec::{BodyKind, Headers, Piece, ResponseHead};

use crate::support::*;

fn ok() -> ResponseHead {
    ResponseHead { status: StatusCode::OK, headers: Headers::default() }
}

fn responding(side: &mut Side, id: u32, content: usize) -> StreamKey {
    side.hears(&headers(id, END_STREAM, GET));
    let stream = side.accepts().stream;
    side.connection.respond(stream, &ok(), BodyKind::Unknown).unwrap();
    side.connection.queue(stream, Piece::Data(Bytes::from(vec![b'x'; content])));
    side.connection.finish(stream);
    side.says();
    stream
}

#[test]
fn a_stream_sends_no_more_than_its_window() {
    let mut side = server();
    side.answers(&settings(&[(0x4, 100)]));
    let stream = responding(&mut side, 1, 250);
    assert_eq!(side.connection.hand_over(stream), Handed::Blocked);
    assert_eq!(side.says(), ["DATA 1 100 bytes"]);
    while side.connection.pop_changed().is_some() {}
    side.hears(&window_update(1, 100));
    assert_eq!(side.connection.pop_changed(), Some(stream));
    assert_eq!(side.connection.hand_over(stream), Handed::Blocked);
    assert_eq!(side.says(), ["DATA 1 100 bytes"]);
    // A smaller initial window may leave less than nothing (RFC 9113, 6.9.2).
    side.answers(&settings(&[(0x4, 50)]));
    side.hears(&window_update(1, 50));
    assert_eq!(side.connection.hand_over(stream), Handed::Blocked);
    assert!(side.says().is_empty());
    side.hears(&window_update(1, 50));
    assert_eq!(side.connection.hand_over(stream), Handed::All);
    assert_eq!(side.says(), ["DATA 1 50 bytes end"]);
}

#[test]
fn streams_share_the_connections_window() {
    let mut side = server();
    side.answers(&settings(&[(0x4, 1 << 20)]));
    let (first, second) = (responding(&mut side, 1, 60_000), responding(&mut side, 3, 60_000));
    assert_eq!(side.connection.hand_over(first), Handed::All);
    side.says();
    assert_eq!(side.connection.hand_over(second), Handed::Blocked);
    assert_eq!(side.says(), ["DATA 3 5535 bytes"]);
    while side.connection.pop_changed().is_some() {}
    side.hears(&window_update(0, 100_000));
    assert_eq!(side.connection.pop_changed(), Some(second));
    assert_eq!(side.connection.hand_over(second), Handed::All);
}

#[test]
fn a_peer_that_does_not_read_is_not_written_for() {
    let mut side = server();
    side.answers(&[settings(&[(0x4, 1 << 30)]), window_update(0, 1 << 30)].concat());
    let stream = responding(&mut side, 1, 10 << 20);
    assert_eq!(side.connection.hand_over(stream), Handed::Blocked);
    assert!(side.connection.outgoing().len() < LIMITS.max_send_buffer + 9 + 16_384);
    while side.connection.pop_changed().is_some() {}
    side.says();
    assert_eq!(side.connection.pop_changed(), Some(stream), "there is room again");
}

#[test]
fn room_is_given_back_in_large_portions_as_content_is_taken() {
    let mut side = server();
    side.hears(&headers(1, 0, POST));
    let stream = side.accepts().stream;
    for _ in 0..4 {
        assert!(side.answers(&data(1, 0, &[0; 16_000])).is_empty(), "nothing was taken");
    }
    let mut said = Vec::new();
    while let Taken::Piece(_) = side.connection.take(stream) {
        said.push(side.says());
    }
    assert_eq!(said.concat(), ["WINDOW_UPDATE 1 +48000", "WINDOW_UPDATE 0 +48000"]);
}

#[test]
fn content_beyond_a_window_is_refused() {
    let small = Limits { stream_window: 1000, ..LIMITS };
    let mut side = server_with(small);
    side.hears(&headers(1, 0, POST));
    assert_eq!(side.answers(&data(1, 0, &[0; 1001])), ["RST_STREAM 1 FLOW_CONTROL_ERROR"]);
    let mut side = server();
    (1..=9).step_by(2).for_each(|id| side.hears(&headers(id, 0, POST)));
    let mut said = Vec::new();
    for id in (1..=9).step_by(2) {
        said.extend(side.answers(&data(id, 0, &[0; 16_384])));
    }
    assert_eq!(said, ["GOAWAY 9 FLOW_CONTROL_ERROR"]);
}

#[test]
fn padding_counts_and_is_given_back() {
    let mut side = server();
    side.hears(&headers(1, 0, POST));
    let stream = side.accepts().stream;
    let padded = [&[255][..], b"x", &[0; 255]].concat();
    let mut said = Vec::new();
    for _ in 0..400 {
        said.extend(side.answers(&data(1, PADDED, &padded)));
        assert!(matches!(side.connection.take(stream), Taken::Piece(_)));
        said.extend(side.says());
    }
    assert!(said.iter().all(|line| line.starts_with("WINDOW_UPDATE")) && said.len() >= 6, "{said:?}");
}

#[test]
fn windows_that_overflow_are_refused() {
    let mut side = server();
    side.hears(&headers(1, 0, POST));
    let most = 0x7fff_ffff;
    assert_eq!(side.answers(&window_update(1, most)), ["RST_STREAM 1 FLOW_CONTROL_ERROR"]);
    assert_eq!(side.answers(&window_update(0, most)), ["GOAWAY 1 FLOW_CONTROL_ERROR"]);
    let mut side = server();
    side.hears(&[headers(1, 0, POST), window_update(1, 100)].concat());
    assert_eq!(side.answers(&settings(&[(0x4, most)])), ["SETTINGS ack", "GOAWAY 1 FLOW_CONTROL_ERROR"]);
    let mut side = server();
    assert_eq!(side.answers(&settings(&[(0x4, most + 1)])), ["GOAWAY 0 FLOW_CONTROL_ERROR"]);
}
