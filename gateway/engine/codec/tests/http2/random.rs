//! Peers and owners that do anything in any order: nothing panics, and everything is let go of in the end.

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode, Version};
use sekisho_codec::http2::{Limits, Reason, StreamKey, Taken};
use sekisho_codec::{BodyKind, Headers, Piece, RequestHead, ResponseHead, Scheme};

use crate::support::*;

const SMALL: Limits = Limits { max_concurrent_streams: 5, stream_window: 3000, max_send_buffer: 8000, ..LIMITS };

/// A frame that is mostly in order.
fn any_frame(random: &mut fastrand::Rng, newest: u32, server: bool) -> Vec<u8> {
    let id = if random.u8(..10) == 0 { random.u32(..40) } else { random.u32(..=newest / 2) * 2 + 1 };
    let end = if random.bool() { END_STREAM } else { 0 };
    let head: &[u8] = match (server, random.u8(..6)) {
        (_, 0) => b"\x84\x84",
        (true, _) => POST,
        (false, 1) => b"\x08\x03103",
        (false, _) => b"\x88",
    };
    match random.u8(..16) {
        0..=3 => headers(if server && random.bool() { newest + 2 } else { id }, end, head),
        4..=7 => data(id, end, &vec![0; random.usize(..2000)]),
        8 => data(id, PADDED | end, &[&[random.u8(..20)][..], &[0; 10]].concat()),
        9 => reset(id),
        10 => window_update(id, random.u32(..5000)),
        11 => window_update(0, random.u32(1..50_000)),
        12 => settings(&[(4, random.u32(..10_000)), (1, random.u32(..5000))]),
        13 => frame(6, random.u8(..2), 0, b"farewell"),
        14 => headers(id, END_STREAM, &field("x-sum", "1")),
        _ if random.u8(..30) == 0 => frame(7, 0, 0, &[0, 0, 0, random.u8(..20), 0, 0, 0, 0]),
        _ => frame(2, 0, id, &[0, 0, 0, 0, 1]),
    }
}

/// Something that the owner of a stream does.
fn act(side: &mut Side, stream: StreamKey, random: &mut fastrand::Rng) {
    let connection = &mut side.connection;
    match random.u8(..7) {
        0 => {
            let kind = if random.bool() { BodyKind::Unknown } else { BodyKind::Empty };
            let head = ResponseHead { status: StatusCode::OK, headers: Headers::default() };
            if !connection.is_sent(stream) {
                let _ = connection.respond(stream, &head, kind);
            }
        }
        1 => {
            connection.queue(stream, Piece::Data(Bytes::from(vec![1; random.usize(..4000)])));
        }
        2 => connection.finish(stream),
        3 => {
            connection.hand_over(stream);
        }
        4 => connection.reset(stream, Reason::INTERNAL_ERROR),
        5 => {
            let _ = connection.take_response(stream);
        }
        _ => while let Taken::Piece(_) = connection.take(stream) {},
    }
}

fn ask() -> RequestHead {
    RequestHead {
        method: Method::POST,
        scheme: Scheme::Http,
        authority: HeaderValue::from_static("a"),
        target: Bytes::from_static(b"/"),
        version: Version::HTTP_2,
        headers: Headers::default(),
    }
}

fn live(mut side: Side, server: bool, random: &mut fastrand::Rng) {
    let mut held: Vec<StreamKey> = Vec::new();
    let mut newest = 1;
    for _ in 0..random.usize(1..150) {
        side.hears(&any_frame(random, newest, server));
        while let Some(accepted) = side.connection.pop_accepted() {
            newest = newest.max(accepted.stream.id());
            held.push(accepted.stream);
        }
        if !server && random.u8(..4) == 0 {
            held.extend(side.connection.open(&ask(), BodyKind::Unknown));
            newest = held.iter().map(|stream| stream.id()).max().unwrap_or(1);
        }
        if !held.is_empty() {
            let place = random.usize(..held.len());
            act(&mut side, held[place], random);
            if random.u8(..6) == 0 {
                side.connection.release(held.swap_remove(place));
            }
        }
        if random.u8(..50) == 0 {
            side.connection.shut_down();
        }
        let waiting = side.connection.outgoing().len();
        assert!(waiting < SMALL.max_send_buffer + 40_000, "{waiting}");
        if random.bool() {
            side.says();
        }
        while side.connection.pop_changed().is_some() {}
    }
    held.drain(..).for_each(|stream| side.connection.release(stream));
    assert!(!side.connection.has_streams());
}

#[test]
fn servers_survive_peers_and_owners_that_do_anything() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..2000 {
        live(server_with(SMALL), true, &mut random);
    }
}

#[test]
fn clients_survive_peers_and_owners_that_do_anything() {
    let mut random = fastrand::Rng::with_seed(12);
    for _ in 0..2000 {
        live(client(), false, &mut random);
    }
}
