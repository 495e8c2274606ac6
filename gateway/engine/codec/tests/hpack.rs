//! HPACK against the examples of RFC 7541 (appendix C), against itself, and against what no encoder writes.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use sekisho_codec::Scheme;
use sekisho_codec::http2::hpack::{Decoder, Encoder, Field, HpackError, Name};

fn wire(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn text(field: &Field) -> String {
    match field {
        Field::Method(method) => format!(":method: {method}"),
        Field::Scheme(scheme) => format!(":scheme: {}", scheme.escape_ascii()),
        Field::Authority(authority) => format!(":authority: {}", authority.to_str().unwrap()),
        Field::Path(path) => format!(":path: {}", path.escape_ascii()),
        Field::Status(status) => format!(":status: {}", status.as_str()),
        Field::Regular(name, value, _) => format!("{name}: {}", value.as_bytes().escape_ascii()),
        Field::Malformed(_) => "malformed".to_owned(),
    }
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, |field, _| fields.push(text(&field))).map(|()| fields)
}

/// Blocks of one connection, each with what it says.
fn examples(table: usize, blocks: &[(&str, &[&str])]) {
    let mut decoder = Decoder::new(table);
    for (hex, fields) in blocks {
        assert_eq!(decode(&mut decoder, &wire(hex)).unwrap(), *fields, "{hex}");
    }
}

#[test]
fn single_fields_are_read_c_2() {
    examples(
        4096,
        &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &["custom-key: custom-header"])],
    );
    examples(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"])]);
    examples(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"])]);
    examples(4096, &[("82", &[":method: GET"])]);
}

const REQUESTS: [&[&str]; 3] = [
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
    &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ],
];

#[test]
fn requests_without_huffman_are_read_c_3() {
    examples(
        4096,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0]),
            ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1]),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", REQUESTS[2]),
        ],
    );
}

#[test]
fn requests_with_huffman_are_read_c_4() {
    examples(
        4096,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0]),
            ("8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1]),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUESTS[2]),
        ],
    );
}

const RESPONSES: [&[&str]; 3] = [
    &[
        ":status: 302",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ],
    &[
        ":status: 307",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ],
    &[
        ":status: 200",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        "location: https://www.example.com",
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ],
];

#[test]
fn responses_that_evict_entries_are_read_c_5() {
    examples(
        256,
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
                 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                RESPONSES[0],
            ),
            ("4803 3330 37c1 c0bf", RESPONSES[1]),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
                 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
                 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                RESPONSES[2],
            ),
        ],
    );
}

#[test]
fn responses_with_huffman_that_evict_entries_are_read_c_6() {
    examples(
        256,
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
                 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                RESPONSES[0],
            ),
            ("4883 640e ffc1 c0bf", RESPONSES[1]),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
                 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                RESPONSES[2],
            ),
        ],
    );
}

#[test]
fn what_parts_the_two_tables_is_an_error() {
    let cases = [
        ("80", "the index 0"),
        ("be", "an entry that was never made"),
        ("ffff ffff ff", "an index without end"),
        ("41", "a value that is missing"),
        ("410a 61", "a value that is cut off"),
        ("0003 61", "a name that is cut off"),
        ("4181 1e", "padding that is no padding"),
        ("4184 ffff ffff", "the symbol for the end"),
        ("8220", "a new size in the middle"),
        ("3fe2 1f", "a size over the bound"),
        ("20 20 20", "three new sizes"),
    ];
    for (hex, what) in cases {
        assert!(decode(&mut Decoder::new(4096), &wire(hex)).is_err(), "{what}");
    }
    assert!(decode(&mut Decoder::new(4096), &wire("20 3fe1 1f 82")).is_ok(), "the smallest and the last size");
}

#[test]
fn fields_that_http_does_not_allow_take_their_place_in_the_table() {
    let mut decoder = Decoder::new(4096);
    // `X: 1` is indexed and malformed; `x-a: 2` comes after it, and both are referred to.
    let fields = decode(&mut decoder, &wire("4001 5801 31 4003 782d 61 01 32 bf be")).unwrap();
    assert_eq!(fields, ["malformed", "x-a: 2", "malformed", "x-a: 2"]);
    for (name, value) in [
        ("connection", "close"),
        ("te", "gzip"),
        ("x y", "1"),
        ("", "1"),
        (":new", "1"),
        ("a", " 1"),
        ("a", "1\t"),
        ("a", "\0"),
    ] {
        let field = Field::new(Name::parse(name.as_bytes()), value.as_bytes().to_vec().into(), false);
        assert!(matches!(field, Field::Malformed(_)), "{name}: {value:?}");
    }
}

#[test]
fn secrets_stay_out_of_every_table() {
    let (mut encoder, mut out) = (Encoder::default(), BytesMut::new());
    let mut own = HeaderValue::from_static("text/secret");
    own.set_sensitive(true);
    for (name, value) in [
        ("authorization", &HeaderValue::from_static("Basic x")),
        ("cookie", &HeaderValue::from_static("a=1")),
        ("set-cookie", &HeaderValue::from_static("a=1")),
        ("proxy-authorization", &HeaderValue::from_static("x")),
        ("content-type", &own),
    ] {
        for _ in 0..2 {
            out.clear();
            encoder.field(name.as_bytes(), value.as_bytes(), value.is_sensitive(), &mut out);
            assert_eq!(out[0] & 0xf0, 0x10, "{name}");
        }
        let mut sensitive = false;
        let take = |field, _| sensitive = matches!(field, Field::Regular(_, value, _) if value.is_sensitive());
        Decoder::new(4096).decode(&out, take).unwrap();
        assert!(sensitive, "{name}");
    }
}

#[test]
fn repeated_fields_become_one_byte_and_changing_ones_give_up() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
    let mut write = |value: &str| {
        let mut out = BytesMut::new();
        encoder.field(b"user-agent", value.as_bytes(), false, &mut out);
        assert_eq!(decode(&mut decoder, &out).unwrap(), [format!("user-agent: {value}")]);
        out
    };
    assert!(write("curl").len() > 1);
    assert_eq!(write("curl").len(), 1);
    let kept = (0..100).filter(|number| write(&format!("agent {number}"))[0] & 0xc0 == 0x40).count();
    assert!((1..10).contains(&kept), "{kept}");
}

#[test]
fn random_lists_survive_a_round_trip_through_tables_of_every_size() {
    const NAMES: [&str; 12] = [
        "accept",
        "user-agent",
        "x-forwarded-for",
        "x-request-id",
        "cookie",
        "vary",
        "grpc-encoding",
        "date",
        "a",
        "strict-transport-security",
        "content-type",
        "cache-control",
    ];
    let mut random = fastrand::Rng::with_seed(9113);
    for _ in 0..50 {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
        for _ in 0..100 {
            if random.u8(..10) == 0 {
                encoder.set_limit(random.usize(..6000));
            }
            let mut out = BytesMut::new();
            encoder.begin(&mut out);
            let mut written = vec![];
            let authority = format!("host-{}", random.u8(..3));
            encoder.method(&Method::PUT, &mut out);
            encoder.scheme(Scheme::Https, &mut out);
            encoder.authority(authority.as_bytes(), &mut out);
            encoder.status(StatusCode::IM_A_TEAPOT, &mut out);
            written.extend([":method: PUT".to_owned(), ":scheme: https".to_owned()]);
            written.extend([format!(":authority: {authority}"), ":status: 418".to_owned()]);
            for _ in 0..random.usize(..12) {
                let name = NAMES[random.usize(..NAMES.len())];
                let length = if random.u8(..20) == 0 { random.usize(..5000) } else { random.usize(..4) };
                let value: String = (0..length).map(|_| random.char('!'..='~')).collect();
                encoder.field(name.as_bytes(), value.as_bytes(), false, &mut out);
                written.push(format!("{name}: {}", value.as_bytes().escape_ascii()));
            }
            assert_eq!(decode(&mut decoder, &out).unwrap(), written);
        }
    }
}

#[test]
fn random_blocks_are_read_or_refused() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let block: Vec<u8> = (0..random.usize(..64)).map(|_| random.u8(..)).collect();
        let mut size = 0;
        // However it ends: no more is handed over than the table and the block can hold.
        let _ = Decoder::new(256).decode(&block, |_, more| size += more);
        assert!(size <= 64 * (256 + 128), "{size}");
    }
}
