//! What the rules forbid: a mistake on a stream costs the stream, one on the connection the connection.

use http::StatusCode;
use sekisho_codec::Scheme;
use sekisho_codec::http2::Limits;

use crate::support::*;

const REQUEST_FAULTS: &[(&str, &[u8], Fields)] = &[
    ("no method", b"\x86\x84\x41\x01a", &[]),
    ("no scheme", b"\x82\x84\x41\x01a", &[]),
    ("no path", b"\x82\x86\x41\x01a", &[]),
    ("an empty path", b"\x82\x86\x04\x00\x41\x01a", &[]),
    ("a method twice", b"\x82\x82\x86\x84\x41\x01a", &[]),
    ("a path twice", b"\x82\x86\x84\x84\x41\x01a", &[]),
    ("an unknown pseudo-header field", GET, &[(":protocol", "websocket")]),
    ("a status", b"\x82\x86\x84\x88", &[]),
    ("a name in upper case", GET, &[("X-A", "1")]),
    ("a name with a space", GET, &[("x a", "1")]),
    ("a value with a line end", GET, &[("x", "a\r\nb: c")]),
    ("a value with space around it", GET, &[("x", " a")]),
    ("connection", GET, &[("connection", "close")]),
    ("transfer-encoding", GET, &[("transfer-encoding", "chunked")]),
    ("te", GET, &[("te", "gzip")]),
    ("a length that is not one", GET, &[("content-length", "+1")]),
    ("lengths that differ", POST, &[("content-length", "1"), ("content-length", "2")]),
];

#[test]
fn malformed_requests_cost_their_stream() {
    for (what, head, fields) in REQUEST_FAULTS {
        let mut side = server();
        let said = side.answers(&headers(1, 0, &with(head, fields)));
        assert_eq!(said, ["RST_STREAM 1 PROTOCOL_ERROR"], "{what}");
        assert!(side.connection.pop_accepted().is_none(), "{what}");
        side.hears(&headers(3, END_STREAM, GET));
        assert!(side.connection.pop_accepted().is_some(), "{what}");
    }
}

#[test]
fn pseudo_header_fields_come_first() {
    let mut side = server();
    let block = [&field("x", "1"), GET].concat();
    assert_eq!(side.answers(&headers(1, END_STREAM, &block)), ["RST_STREAM 1 PROTOCOL_ERROR"]);
}

#[test]
fn lengths_and_content_agree() {
    let sized = |length: &str| headers(1, 0, &with(POST, &[("content-length", length)]));
    let cases = [
        ("too much", vec![sized("3"), data(1, 0, b"abcd")]),
        ("too little", vec![sized("3"), data(1, END_STREAM, b"ab")]),
        ("too little before trailers", vec![sized("3"), headers(1, END_STREAM, &field("x", "1"))]),
        ("none", vec![headers(1, END_STREAM, &with(POST, &[("content-length", "3")]))]),
    ];
    for (what, wire) in cases {
        assert_eq!(server().answers(&wire.concat()), ["RST_STREAM 1 PROTOCOL_ERROR"], "{what}");
    }
    assert!(server().answers(&[sized("3"), data(1, END_STREAM, b"abc")].concat()).is_empty());
}

#[test]
fn trailers_end_the_stream_and_have_no_pseudo_header_fields() {
    for wire in [headers(1, 0, &field("x", "1")), headers(1, END_STREAM, b"\x84")] {
        let mut side = server();
        side.hears(&headers(1, 0, POST));
        assert_eq!(side.answers(&wire), ["RST_STREAM 1 PROTOCOL_ERROR"]);
    }
}

#[test]
fn what_comes_after_the_end_of_a_stream_is_refused() {
    let mut side = server();
    side.hears(&headers(1, END_STREAM, GET));
    assert_eq!(side.answers(&data(1, 0, b"more")), ["RST_STREAM 1 STREAM_CLOSED"]);
    let mut side = server();
    side.hears(&headers(1, END_STREAM, GET));
    assert_eq!(side.answers(&headers(1, END_STREAM, &field("x", "1"))), ["RST_STREAM 1 STREAM_CLOSED"]);
}

#[test]
fn mistakes_on_the_connection_end_it() {
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("content on an idle stream", data(1, 0, b"x"), "PROTOCOL_ERROR"),
        ("content on no stream", data(0, 0, b"x"), "PROTOCOL_ERROR"),
        ("a head on no stream", headers(0, 0, GET), "PROTOCOL_ERROR"),
        ("a stream with a server's number", headers(2, END_STREAM, GET), "PROTOCOL_ERROR"),
        ("a reset of an idle stream", reset(1), "PROTOCOL_ERROR"),
        ("an update of an idle stream", window_update(1, 1), "PROTOCOL_ERROR"),
        ("an update of nothing", window_update(0, 0), "PROTOCOL_ERROR"),
        ("an update that is cut off", frame(8, 0, 0, b"abc"), "FRAME_SIZE_ERROR"),
        ("a push", frame(5, 4, 1, &[0, 0, 0, 2]), "PROTOCOL_ERROR"),
        ("a continuation of nothing", frame(9, 4, 1, b""), "PROTOCOL_ERROR"),
        ("settings for a stream", frame(4, 0, 1, b""), "PROTOCOL_ERROR"),
        ("settings of a wrong length", frame(4, 0, 0, b"abc"), "FRAME_SIZE_ERROR"),
        ("an acknowledgement with content", frame(4, 1, 0, &[0; 6]), "FRAME_SIZE_ERROR"),
        ("a push setting of 2", settings(&[(2, 2)]), "PROTOCOL_ERROR"),
        ("a small frame size", settings(&[(5, 16_383)]), "PROTOCOL_ERROR"),
        ("a ping of a wrong length", frame(6, 0, 0, b"1234567"), "FRAME_SIZE_ERROR"),
        ("a ping for a stream", frame(6, 0, 1, b"12345678"), "PROTOCOL_ERROR"),
        ("a goodbye that is cut off", frame(7, 0, 0, b"abc"), "FRAME_SIZE_ERROR"),
        ("a priority for no stream", frame(2, 0, 0, &[0; 5]), "PROTOCOL_ERROR"),
        ("a frame that is too large", vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1], "FRAME_SIZE_ERROR"),
        ("a block that no encoder writes", headers(1, END_STREAM, b"\x80"), "COMPRESSION_ERROR"),
        ("more padding than payload", frame(1, 0xc, 1, b"\x09\x82"), "PROTOCOL_ERROR"),
    ];
    for (what, wire, reason) in cases {
        let mut side = server();
        let said = side.answers(wire);
        assert!(
            said.last().is_some_and(|line| line.starts_with("GOAWAY") && line.ends_with(reason)),
            "{what}: {said:?}"
        );
        assert!(side.connection.is_finished(), "{what}");
        assert!(side.answers(&frame(6, 0, 0, b"12345678")).is_empty(), "{what}: nothing is answered any more");
    }
    let mut side = server();
    side.hears(&headers(1, 0, POST));
    assert_eq!(side.answers(&data(1, PADDED, b"\x05abc")), ["GOAWAY 1 PROTOCOL_ERROR"], "padding");
    let mut side = server();
    side.hears(&frame(1, 0, 1, GET));
    assert_eq!(side.answers(&frame(6, 0, 0, b"12345678")), ["GOAWAY 0 PROTOCOL_ERROR"], "an interrupted block");
}

#[test]
fn priorities_have_a_form_though_they_mean_nothing() {
    let mut side = server();
    assert!(side.answers(&frame(2, 0, 3, &[0, 0, 0, 1, 9])).is_empty());
    assert_eq!(side.answers(&frame(2, 0, 3, b"abc")), ["RST_STREAM 3 FRAME_SIZE_ERROR"]);
    assert_eq!(side.answers(&frame(2, 0, 3, &[0, 0, 0, 3, 9])), ["RST_STREAM 3 PROTOCOL_ERROR"]);
    let block = [&[0, 0, 0, 5, 9], GET].concat();
    assert_eq!(side.answers(&frame(1, 0x25, 5, &block)), ["RST_STREAM 5 PROTOCOL_ERROR"]);
}

#[test]
fn random_frames_never_break_the_reader() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..3000 {
        let mut side = server();
        side.hears(&headers(1, 0, POST));
        for _ in 0..20 {
            let payload: Vec<u8> = (0..random.usize(..30)).map(|_| random.u8(..)).collect();
            side.hears(&frame(random.u8(..11), random.u8(..), random.u32(..8), &payload));
        }
        while let Some(accepted) = side.connection.pop_accepted() {
            side.connection.release(accepted.stream);
        }
        assert!(side.connection.outgoing().len() < 4096);
    }
}

/// Where the scheme is a part of where a request is to go, it is what the client says, and one of two.
#[test]
fn a_forward_proxy_is_told_the_scheme() {
    let limits = Limits { keeps_scheme: true, ..LIMITS };
    let block = |scheme: &[u8]| [b"\x82\x84\x41\x01a\x46", &[scheme.len() as u8][..], scheme].concat();
    for (text, scheme) in [(&b"http"[..], Scheme::Http), (b"https", Scheme::Https), (b"HTTP", Scheme::Http)] {
        let mut side = server_with(limits);
        assert!(side.answers(&headers(1, END_STREAM, &block(text))).is_empty());
        assert_eq!(side.accepts().head.scheme, scheme);
    }
    let mut side = server_with(limits);
    side.answers(&headers(1, END_STREAM, &block(b"ftp")));
    assert!(side.connection.pop_accepted().is_none());
    assert_eq!(side.connection.pop_refused(), Some(StatusCode::BAD_REQUEST));
}

/// RFC 9113, 8.5.
#[test]
fn a_tunnel_has_an_authority_and_neither_scheme_nor_path() {
    let limits = Limits { takes_connect: true, ..LIMITS };
    let method = b"\x42\x07CONNECT";
    let authority = b"\x41\x0410:8";
    let mut side = server_with(limits);
    assert!(side.answers(&headers(1, 0, &[&method[..], authority].concat())).is_empty());
    let accepted = side.accepts();
    assert_eq!((accepted.head.method.as_str(), accepted.head.target_str()), ("CONNECT", ""));
    assert_eq!(accepted.head.authority, "10:8");
    for (what, block) in [
        ("no authority", method.to_vec()),
        ("a scheme", [&method[..], b"\x86", authority].concat()),
        ("a path", [&method[..], b"\x84", authority].concat()),
        ("a length", [&method[..], authority, b"\x5c\x011"].concat()),
    ] {
        let mut side = server_with(limits);
        assert_eq!(side.answers(&headers(1, 0, &block)), ["RST_STREAM 1 PROTOCOL_ERROR"], "{what}");
    }
}
