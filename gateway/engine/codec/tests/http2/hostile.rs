//! What a peer could try to make us work or remember without end, each with its bound.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use sekisho_codec::http2::{Handed, Limits, Taken};
use sekisho_codec::{BodyKind, Headers, Piece, ResponseHead};

use crate::support::*;

const CALM: &str = "ENHANCE_YOUR_CALM";

/// How many times `wire` is taken before the connection ends, and why it does.
fn endured(side: &mut Side, mut wire: impl FnMut(u32) -> Vec<u8>, most: u32) -> (u32, String) {
    for count in 0..most {
        let said = side.answers(&wire(count));
        while let Some(accepted) = side.connection.pop_accepted() {
            side.connection.release(accepted.stream);
        }
        if side.connection.is_finished() {
            return (count, said.last().cloned().unwrap_or_default());
        }
    }
    (most, "endured".to_owned())
}

#[test]
fn frames_that_carry_nothing_are_bounded() {
    let floods: [(&str, Vec<u8>); 6] = [
        ("pings", frame(6, 0, 0, b"12345678")),
        ("settings", settings(&[(4, 1000)])),
        ("empty content", data(1, 0, b"")),
        ("priorities", frame(2, 0, 5, &[0, 0, 0, 1, 9])),
        ("window updates", window_update(0, 1)),
        ("unknown frames", frame(0xbe, 0, 0, b"")),
    ];
    for (what, wire) in floods {
        let mut side = server();
        side.hears(&headers(1, 0, POST));
        let _held = side.accepts();
        let (count, end) = endured(&mut side, |_| wire.clone(), 100_000);
        assert!((1000..2100).contains(&count) && end.ends_with(CALM), "{what}: {count} {end}");
    }
}

#[test]
fn what_carries_something_makes_up_for_what_does_not() {
    let mut side = server();
    let wire = |count: u32| {
        let ping = frame(6, 0, 0, b"12345678");
        [headers(2 * count + 1, END_STREAM, GET), ping.repeat(8)].concat()
    };
    assert_eq!(endured(&mut side, wire, 5000).1, "endured");
}

#[test]
fn answers_to_a_peer_that_does_not_read_stay_few() {
    let mut side = server();
    let mut input = BytesMut::from(&frame(6, 0, 0, b"12345678").repeat(20_000)[..]);
    side.connection.receive(&mut input);
    assert!(side.connection.outgoing().len() < 150 * 1024);
}

#[test]
fn rapid_resets_are_bounded() {
    let mut side = server();
    let mut held = Vec::new();
    let mut count = 0;
    while !side.connection.is_finished() {
        let id = 2 * count + 1;
        side.hears(&headers(id, END_STREAM, GET));
        held.push(side.accepts());
        side.hears(&reset(id));
        // The owner notices.
        held.drain(..).for_each(|accepted| side.connection.release(accepted.stream));
        count += 1;
        assert!(count < 100);
    }
    assert_eq!(count, LIMITS.max_resets + 1);
    assert!(side.says().last().unwrap().ends_with(CALM));
}

#[test]
fn requests_that_are_cancelled_in_the_same_breath_are_never_shown() {
    let mut side = server();
    let mut wire = Vec::new();
    for id in (1..2000).step_by(2) {
        wire.extend([headers(id, END_STREAM, GET), reset(id)].concat());
    }
    let said = side.answers(&wire);
    assert!(side.connection.pop_accepted().is_none());
    assert_eq!(said, ["GOAWAY 101 ENHANCE_YOUR_CALM"]);
}

type Provocation = fn(u32) -> Vec<u8>;

/// MadeYouReset (CVE-2025-8671): the resets are ours, provoked one by one.
#[test]
fn provoked_resets_are_bounded() {
    let provocations: [(&str, Provocation); 4] = [
        ("an update of nothing", |id| window_update(id, 0)),
        ("content after the end", |id| data(id, 0, b"x")),
        ("a priority of a wrong length", |id| frame(2, 0, id, b"abc")),
        ("an update too large", |id| window_update(id, 0x7fff_ffff)),
    ];
    for (what, provocation) in provocations {
        let mut side = server();
        let mut count = 0;
        while !side.connection.is_finished() {
            let id = 2 * count + 1;
            side.hears(&headers(id, END_STREAM, GET));
            let held = side.connection.pop_accepted();
            side.hears(&provocation(id));
            side.says();
            held.into_iter().for_each(|accepted| side.connection.release(accepted.stream));
            count += 1;
            assert!(count < 300, "{what}");
        }
    }
}

#[test]
fn streams_beyond_the_bound_are_refused() {
    let mut side = server_with(Limits { max_concurrent_streams: 2, ..LIMITS });
    let said = side.answers(&[headers(1, 0, POST), headers(3, 0, POST), headers(5, 0, POST)].concat());
    assert_eq!(said, ["RST_STREAM 5 REFUSED_STREAM"]);
}

#[test]
fn a_client_that_opens_many_before_it_knows_the_bound_stays() {
    let mut side = server_with(Limits { max_concurrent_streams: 2, ..LIMITS });
    for id in (1..1000).step_by(2) {
        side.hears(&headers(id, END_STREAM, GET));
    }
    assert!(!side.connection.is_finished());
}

/// A client that asks for much and gives no room for it: what waits is what its sender was allowed to queue.
#[test]
fn a_client_without_a_window_gets_a_head_and_no_more() {
    let mut side = server();
    side.answers(&settings(&[(0x4, 0)]));
    side.hears(&headers(1, END_STREAM, GET));
    let stream = side.accepts().stream;
    let ok = ResponseHead { status: StatusCode::OK, headers: Headers::default() };
    side.connection.respond(stream, &ok, BodyKind::Unknown).unwrap();
    side.connection.queue(stream, Piece::Data(Bytes::from(vec![0; 10_000])));
    for _ in 0..100 {
        assert_eq!(side.connection.hand_over(stream), Handed::Blocked);
    }
    assert_eq!((side.says(), side.connection.queued(stream)), (vec!["HEADERS 1 200".to_owned()], 10_000));
    side.hears(&reset(1));
    assert_eq!(side.connection.queued(stream), 0);
}

#[test]
fn a_block_takes_no_more_frames_than_it_needs() {
    for fragment in [0, 1, 16_384] {
        let mut side = server();
        side.hears(&frame(1, 0, 1, GET));
        let (count, end) = endured(&mut side, |_| frame(9, 0, 1, &vec![0; fragment]), 1000);
        assert!(count < 10 && end.ends_with(CALM), "{fragment}: {count} {end}");
    }
}

/// A table entry of 4 kB, and as many references to it as a frame holds.
#[test]
fn a_block_that_unfolds_without_end_is_refused_without_being_kept() {
    let mut side = server();
    let value = "b".repeat(4000);
    let entry = {
        let mut entry = field("x", &value);
        entry[0] = 0x40;
        entry
    };
    side.hears(&headers(1, END_STREAM, &[GET, &entry].concat()));
    let first = side.accepts().stream;
    side.connection.release(first);
    side.says();
    let bomb = [&[0x82, 0x86, 0x84][..], &[0xbe; 16_000]].concat();
    assert_eq!(side.answers(&headers(3, END_STREAM, &bomb)), ["HEADERS 3 431 end"]);
    // The tables still agree.
    side.hears(&headers(5, END_STREAM, &[GET, &[0xbf]].concat()));
    assert_eq!(side.accepts().head.headers.len(), 1);
}

#[test]
fn requests_refused_for_their_head_are_bounded() {
    let mut side = server();
    let wire = |count: u32| headers(2 * count + 1, END_STREAM, &with(GET, &[("host", "b")]));
    let (count, end) = endured(&mut side, wire, 100_000);
    assert!((1000..2100).contains(&count) && end.ends_with(CALM), "{count} {end}");
}

#[test]
fn tiny_pieces_that_nobody_takes_grow_together() {
    let mut side = server();
    side.hears(&headers(1, 0, POST));
    let stream = side.accepts().stream;
    for _ in 0..10_000 {
        side.hears(&data(1, 0, b"x"));
    }
    let mut pieces = 0;
    while let Taken::Piece(_) = side.connection.take(stream) {
        pieces += 1;
    }
    assert_eq!(pieces, 2);
}
