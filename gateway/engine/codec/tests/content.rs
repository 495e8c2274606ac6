//! Content: chunks, lengths, trailers and the end of the connection.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use sekisho_codec::http1::{
    BodyDecoder, BodyEncoder, BodyError, Decoded, EncodeError, Framing, HeadLimits, parse_request, parse_response,
    write_informational, write_request, write_response,
};
use sekisho_codec::{Headers, ResponseHead, Scheme};

#[derive(Debug, PartialEq)]
struct Content {
    data: Vec<u8>,
    trailers: Vec<(String, String)>,
    rest: Vec<u8>,
}

/// Decodes `wire`, of which `step` bytes arrive at a time.
fn decode(framing: Framing, wire: &[u8], step: usize) -> Result<Content, BodyError> {
    let mut decoder = BodyDecoder::new(framing);
    let mut buffer = BytesMut::new();
    let mut arriving = wire.chunks(step);
    let mut content = Content { data: Vec::new(), trailers: Vec::new(), rest: Vec::new() };
    loop {
        match decoder.decode(&mut buffer)? {
            Decoded::Data(data) => content.data.extend_from_slice(&data),
            Decoded::Trailers(trailers) => {
                let pair = |(name, value): (&HeaderName, &HeaderValue)| {
                    (name.to_string(), value.to_str().unwrap_or_default().to_owned())
                };
                content.trailers = trailers.iter().map(pair).collect();
            }
            Decoded::NeedMore => match arriving.next() {
                Some(bytes) => buffer.extend_from_slice(bytes),
                None => decoder.finish_at_eof()?,
            },
            Decoded::End => {
                assert!(decoder.is_done());
                content.rest.extend_from_slice(&buffer);
                arriving.for_each(|bytes| content.rest.extend_from_slice(bytes));
                return Ok(content);
            }
        }
    }
}

#[test]
fn content_is_the_same_however_it_arrives() {
    let wire = b"5;a=b\r\nhello\r\n1\r\n \r\n00a;x=\"y z\"\r\n0123456789\r\n000\r\nX-Sum: 9\r\nX-End:\r\n\r\nnext";
    for step in 1..=wire.len() {
        let content = decode(Framing::Chunked, wire, step).unwrap();
        assert_eq!(content.data, b"hello 0123456789");
        assert_eq!(content.trailers, [("x-sum".into(), "9".into()), ("x-end".into(), String::new())]);
        assert_eq!(content.rest, b"next");
        let content = decode(Framing::Length(7), b"1234567next", step).unwrap();
        assert_eq!((content.data.as_slice(), content.rest.as_slice()), (&b"1234567"[..], &b"next"[..]));
        assert_eq!(decode(Framing::UntilClose, b"all of it", step).unwrap().data, b"all of it");
    }
    for framing in [Framing::None, Framing::Length(0)] {
        assert_eq!(decode(framing, b"next", 4).unwrap().data, b"");
    }
    assert_eq!(decode(Framing::Chunked, b"0\r\n\r\n", 1).unwrap().data, b"");
}

#[test]
fn content_that_ends_early_is_not_complete() {
    for wire in ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n"] {
        assert_eq!(decode(Framing::Chunked, wire.as_bytes(), 1), Err(BodyError::Truncated), "{wire:?}");
    }
    assert_eq!(decode(Framing::Length(4), b"123", 2), Err(BodyError::Truncated));
}

#[test]
fn every_malformed_chunk_is_refused_by_name() {
    let long_line = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(300));
    let many_extensions = format!("{}0\r\n\r\n", format!("1;{}\r\na\r\n", "x".repeat(200)).repeat(100));
    let long_trailers = format!("0\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many_trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(100));
    let cases: &[(&str, &str)] = &[
        ("\r\n", "not valid"),
        ("g\r\n", "not valid"),
        ("-1\r\n", "not valid"),
        ("+1\r\n", "not valid"),
        ("0x1\r\n", "not valid"),
        (" 1\r\n", "not valid"),
        ("1 \r\na\r\n", "not valid"),
        ("1 ;x\r\na\r\n", "not valid"),
        ("1\t\r\na\r\n", "not valid"),
        ("1,x\r\n", "not valid"),
        ("ffffffffffffffff\r\n", "not valid"),
        ("10000000000000000\r\n", "not valid"),
        ("0000000000000001\r\na\r\n", "not valid"),
        ("1\na\r\n", "bare LF"),
        ("1;x\na\r\n", "bare LF"),
        ("1;x\ry\r\na\r\n", "control byte"),
        ("1;\0\r\na\r\n", "control byte"),
        ("1\r\nab", "not followed by CRLF"),
        ("1\r\na\n", "not followed by CRLF"),
        ("1\r\na\rx", "not followed by CRLF"),
        ("1\r\na0\r\n\r\n", "not followed by CRLF"),
        ("0\r\n\n", "bare LF"),
        ("0\r\nX: y\n\r\n", "bare LF"),
        ("0\r\nX: y\r\n z\r\n\r\n", "trailer field is malformed"),
        ("0\r\nX : y\r\n\r\n", "trailer field is malformed"),
        ("0\r\nX\r\n\r\n", "trailer field is malformed"),
        ("0\r\nX: \0\r\n\r\n", "trailer field is malformed"),
        ("0\r\nX: a\rb\r\n\r\n", "trailer field is malformed"),
        ("0\r\nContent-Length: 1\r\n\r\n", "must not come after"),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", "must not come after"),
        ("0\r\nHost: a\r\n\r\n", "must not come after"),
        ("0\r\nConnection: x\r\n\r\n", "must not come after"),
        ("0\r\nTrailer: x\r\n\r\n", "must not come after"),
        ("0\r\nTE: x\r\n\r\n", "must not come after"),
        (&long_line, "line is too long"),
        (&many_extensions, "extensions are too long"),
        (&long_trailers, "section is too long"),
        (&many_trailers, "too many trailer fields"),
    ];
    for (wire, reason) in cases {
        for step in [1, 3, wire.len()] {
            match decode(Framing::Chunked, wire.as_bytes(), step) {
                Err(BodyError::Malformed(named)) => {
                    assert!(named.contains(reason), "{wire:?} was refused for {named:?} instead of {reason:?}");
                }
                other => panic!("{wire:?} gave {other:?}"),
            }
        }
    }
    assert!(decode(Framing::Chunked, b"fffffffffffffff\r\n", 1).is_err_and(|error| error == BodyError::Truncated));
}

fn trailers() -> Headers {
    let mut trailers = Headers::default();
    trailers.append(HeaderName::from_static("x-sum"), HeaderValue::from_static("9"));
    trailers.append(http::header::CONTENT_LENGTH, HeaderValue::from_static("1"));
    trailers
}

fn encode(framing: Framing, pieces: &[&'static str], end: Option<&Headers>) -> Result<String, EncodeError> {
    let mut encoder = BodyEncoder::new(framing);
    let mut out = BytesMut::new();
    for piece in pieces {
        encoder.data(&Bytes::from_static(piece.as_bytes()), &mut out)?;
    }
    encoder.finish(end, &mut out)?;
    assert!(encoder.is_finished());
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[test]
fn content_is_written_as_its_framing_says() {
    let chunked = encode(Framing::Chunked, &["hello", "", "0123456789abcdefg"], Some(&trailers()));
    assert_eq!(chunked.unwrap(), "5\r\nhello\r\n11\r\n0123456789abcdefg\r\n0\r\nx-sum: 9\r\n\r\n");
    assert_eq!(encode(Framing::Chunked, &[], None).unwrap(), "0\r\n\r\n");
    assert_eq!(encode(Framing::Length(5), &["he", "llo"], Some(&trailers())).unwrap(), "hello");
    assert_eq!(encode(Framing::UntilClose, &["a", "b"], None).unwrap(), "ab");
    assert_eq!(encode(Framing::None, &[""], None).unwrap(), "");
}

#[test]
fn content_that_does_not_fit_its_length_is_an_error() {
    assert_eq!(encode(Framing::Length(5), &["hello!"], None), Err(EncodeError::TooMuch));
    assert_eq!(encode(Framing::Length(5), &["hell"], None), Err(EncodeError::TooLittle));
    assert_eq!(encode(Framing::None, &["a"], None), Err(EncodeError::TooMuch));
}

/// A request with everything that an encoder must not take from a header list.
fn edited_headers() -> Headers {
    let mut headers = Headers::default();
    for (name, value) in [
        ("x-one", "1"),
        ("host", "evil"),
        ("content-length", "99"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("upgrade", "x"),
        ("x-two", "2"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn request_heads_are_written_from_the_framing_alone() {
    let mut buffer = BytesMut::from("POST /a?b HTTP/1.1\r\nHost: h:1\r\n\r\n");
    let mut head = parse_request(&mut buffer, &HeadLimits::default(), Scheme::Http).unwrap().unwrap().head;
    head.headers = edited_headers();
    let write = |head: &sekisho_codec::RequestHead, framing: Framing, upgrade: Option<&HeaderValue>| {
        let mut out = BytesMut::new();
        write_request(head, &framing, upgrade, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    let start = "POST /a?b HTTP/1.1\r\nhost: h:1\r\nx-one: 1\r\nx-two: 2\r\n";
    let websocket = HeaderValue::from_static("websocket");
    assert_eq!(write(&head, Framing::None, None), format!("{start}content-length: 0\r\n\r\n"));
    assert_eq!(write(&head, Framing::Length(3), None), format!("{start}content-length: 3\r\n\r\n"));
    assert_eq!(write(&head, Framing::Chunked, None), format!("{start}transfer-encoding: chunked\r\n\r\n"));
    head.method = Method::GET;
    let start = start.replace("POST", "GET");
    assert_eq!(write(&head, Framing::None, None), format!("{start}\r\n"));
    let switching = format!("{start}connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(write(&head, Framing::None, Some(&websocket)), switching);
    head.headers.append(http::header::TE, HeaderValue::from_static("trailers"));
    assert_eq!(write(&head, Framing::None, None), format!("{start}te: trailers\r\nconnection: te\r\n\r\n"));
}

#[test]
fn response_heads_are_written_from_the_framing_alone() {
    let write = |status: StatusCode, framing: Framing, keep_alive: bool, version: Version| {
        let mut out = BytesMut::new();
        let head = ResponseHead { status, headers: edited_headers() };
        write_response(&head, &framing, keep_alive, None, version, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    let fields = "x-one: 1\r\nx-two: 2\r\n";
    let ok = StatusCode::OK;
    let cases = [
        (ok, Framing::Length(3), true, Version::HTTP_11, "200 OK", "content-length: 3\r\n"),
        (ok, Framing::Length(3), false, Version::HTTP_11, "200 OK", "content-length: 3\r\nconnection: close\r\n"),
        (ok, Framing::Length(3), true, Version::HTTP_10, "200 OK", "content-length: 3\r\nconnection: keep-alive\r\n"),
        (ok, Framing::Chunked, true, Version::HTTP_11, "200 OK", "transfer-encoding: chunked\r\n"),
        (ok, Framing::UntilClose, true, Version::HTTP_10, "200 OK", "connection: close\r\n"),
        (ok, Framing::None, true, Version::HTTP_11, "200 OK", "content-length: 99\r\n"),
        (StatusCode::NOT_MODIFIED, Framing::None, true, Version::HTTP_11, "304 Not Modified", "content-length: 99\r\n"),
        (StatusCode::NO_CONTENT, Framing::None, true, Version::HTTP_11, "204 No Content", ""),
    ];
    for (status, framing, keep_alive, version, line, end) in cases {
        let expected = format!("HTTP/1.1 {line}\r\n{fields}{end}\r\n");
        assert_eq!(write(status, framing, keep_alive, version), expected);
    }
    let mut out = BytesMut::new();
    let hints = ResponseHead { status: StatusCode::EARLY_HINTS, headers: edited_headers() };
    write_informational(&hints, &mut out);
    assert_eq!(&out[..], format!("HTTP/1.1 103 Early Hints\r\n{fields}\r\n").as_bytes());
    let parsed = parse_response(&mut out, &Method::GET, &HeadLimits::default()).unwrap().unwrap();
    assert_eq!(parsed.framing, Framing::None);
}
