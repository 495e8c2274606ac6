//! Request heads: what is read from them, and every reason to refuse one.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use http::{Method, StatusCode, Version};
use sekisho_codec::Scheme;
use sekisho_codec::http1::{Framing, HeadError, HeadLimits, HeadReader, ParsedRequest, parse_request};

const LIMITS: HeadLimits = HeadLimits { max_bytes: 1024, max_headers: 40 };

fn read(text: &str) -> Result<Option<ParsedRequest>, HeadError> {
    parse_request(&mut BytesMut::from(text), &LIMITS, Scheme::Http)
}

fn accepted(text: &str) -> ParsedRequest {
    read(text).unwrap().unwrap()
}

fn fields(request: &ParsedRequest) -> Vec<(String, String)> {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    request.head.headers.iter().map(pair).collect()
}

#[test]
fn a_plain_request_is_read_whole() {
    let mut buffer =
        BytesMut::from("GET /a?b=c HTTP/1.1\r\nHost: Example.com:8080\r\nX-One:  1 \r\nX-Two: 2\r\n\r\nrest");
    let request = parse_request(&mut buffer, &LIMITS, Scheme::Https).unwrap().unwrap();
    assert_eq!(&buffer[..], b"rest");
    assert_eq!(request.head.method, Method::GET);
    assert_eq!(request.head.scheme, Scheme::Https);
    assert_eq!(request.head.version, Version::HTTP_11);
    assert_eq!(request.head.authority, "Example.com:8080");
    assert_eq!((request.head.path(), request.head.query()), ("/a", "b=c"));
    assert_eq!(fields(&request), [("x-one".into(), "1".into()), ("x-two".into(), "2".into())]);
    assert_eq!(request.framing, Framing::None);
    assert!(request.keep_alive);
    assert!(!request.expect_continue);
    assert!(request.upgrade.is_none());
}

#[test]
fn an_incomplete_head_waits_and_is_left_alone() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\n\r";
    for end in 0..=text.len() {
        let mut buffer = BytesMut::from(&text[..end]);
        assert!(parse_request(&mut buffer, &LIMITS, Scheme::Http).unwrap().is_none());
        assert_eq!(buffer[..], text.as_bytes()[..end]);
    }
}

#[test]
fn one_empty_line_before_a_request_is_skipped_and_no_more() {
    assert_eq!(accepted("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").head.method, Method::GET);
    assert!(matches!(read("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Err(HeadError::Malformed(_))));
    let mut reader = HeadReader::new();
    let mut buffer = BytesMut::from("\r\n");
    assert!(reader.request(&mut buffer, &LIMITS, Scheme::Http).unwrap().is_none());
    buffer.extend_from_slice(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(reader.request(&mut buffer, &LIMITS, Scheme::Http).is_err());
}

#[test]
fn every_ambiguous_or_malformed_request_is_refused_by_name() {
    let cases: &[(&str, &str)] = &[
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "both Transfer-Encoding",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "both Transfer-Encoding",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not exactly chunked"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", "not exactly chunked"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "not exactly chunked"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", "not exactly chunked"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", "not exactly chunked"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", "not exactly chunked"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "not exactly chunked"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "not exactly chunked",
        ),
        ("GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "in an HTTP/1.0 message"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "values differ"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", "not a number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "not a number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "not a number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "not a number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\n", "not a number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", "not a number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "not a number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", "not a number"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n  2\r\n\r\n", "folded"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n", "folded"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "folded"),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", "bare LF"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "bare LF"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", "bare LF"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\r\n\r\n", "bare LF"),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bare LF"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n", "bare CR"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\r\n\r\n", "bare CR"),
        ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", "bare CR"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "followed by white space"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\t: 1\r\n\r\n", "followed by white space"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", "NUL"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", "control byte"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", "control byte"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\0: 1\r\n\r\n", "NUL"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "no colon"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", "not a token"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(y): 1\r\n\r\n", "not a token"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: 1\r\n\r\n", "not a token"),
        ("GET / HTTP/1.1\r\n\r\n", "no Host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "more than one Host"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "more than one Host"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "not a valid authority"),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "not a valid authority"),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", "not a valid authority"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "not a valid authority"),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "not a valid authority"),
        ("GET / HTTP/1.1\r\nHost: a\u{e9}\r\n\r\n", "not a valid authority"),
        ("GET http://b/ HTTP/1.1\r\n\r\n", "no Host"),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "no valid authority"),
        ("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", "no valid authority"),
        ("GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "not an absolute path"),
        ("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", "not an absolute path"),
        ("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", "not an absolute path"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "not OPTIONS"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "fragment"),
        ("GET http://b#c HTTP/1.1\r\nHost: a\r\n\r\n", "fragment"),
        ("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", "escaped NUL"),
        ("GET /a%2f..%2fb HTTP/1.1\r\nHost: a\r\n\r\n", "hides a dot segment"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", "not visible ASCII"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "first line"),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "first line"),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "first line"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "first line"),
        ("GET /\r\nHost: a\r\n\r\n", "first line"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "first line"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", "first line"),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", "first line"),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "first line"),
        ("/ HTTP/1.1\r\nHost: a\r\n\r\n", "first line"),
        ("\r\n\r\n", "first line"),
    ];
    for (text, reason) in cases {
        match read(text) {
            Err(error @ HeadError::Malformed(named)) => {
                assert!(named.contains(reason), "{text:?} was refused for {named:?} instead of {reason:?}");
                assert_eq!(error.status(), StatusCode::BAD_REQUEST);
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }
}

#[test]
fn other_versions_and_methods_that_are_not_offered_have_answers_of_their_own() {
    for version in ["2.0", "1.2", "0.9", "3.0"] {
        let error = read(&format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n")).unwrap_err();
        assert_eq!(error.status(), StatusCode::HTTP_VERSION_NOT_SUPPORTED, "{version}");
    }
    let error = read("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap_err();
    assert_eq!(error.status(), StatusCode::NOT_IMPLEMENTED);
}

#[test]
fn heads_are_bounded_in_bytes_and_in_fields() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(2000));
    assert_eq!(read(&long).unwrap_err().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(read(&long[..1024]).unwrap_err(), HeadError::TooLarge);
    assert!(read(&long[..1023]).unwrap().is_none());
    let many = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(count));
    assert_eq!(accepted(&many(39)).head.headers.len(), 39);
    assert_eq!(read(&many(40)).unwrap_err(), HeadError::TooLarge);
    assert!(read("GET / HTTP/1.1\r\nHost: a\r\n").unwrap().is_none());
    let exact = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1024 - 32));
    assert_eq!(exact.len(), 1024);
    assert!(read(&exact).unwrap().is_some());
}

#[test]
fn framing_follows_the_fields() {
    assert_eq!(accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n").framing, Framing::Length(12));
    assert_eq!(accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 012\r\n\r\n").framing, Framing::Length(12));
    let folded = accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nContent-Length: 12\r\n\r\n");
    assert_eq!(folded.framing, Framing::Length(12));
    assert!(folded.head.headers.is_empty());
    let chunked = accepted("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
    assert_eq!(chunked.framing, Framing::Chunked);
    assert!(chunked.head.headers.is_empty());
    assert_eq!(accepted("POST / HTTP/1.1\r\nHost: a\r\n\r\n").framing, Framing::None);
}

#[test]
fn keeping_the_connection_follows_version_and_options() {
    let kept = |text: &str| accepted(text).keep_alive;
    assert!(kept("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(!kept("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"));
    assert!(!kept("GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
    assert!(kept("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n"));
    assert!(!kept("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"));
}

#[test]
fn http_1_0_needs_no_host() {
    let request = accepted("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(request.head.version, Version::HTTP_10);
    assert!(request.head.authority.is_empty());
}

#[test]
fn targets_come_in_origin_form() {
    let cases = [
        ("GET http://b:81/x?y HTTP/1.1", "b:81", "/x?y"),
        ("GET HTTPS://b HTTP/1.1", "b", "/"),
        ("GET http://b?y HTTP/1.1", "b", "/?y"),
        ("OPTIONS http://b HTTP/1.1", "b", "*"),
        ("OPTIONS * HTTP/1.1", "a", "*"),
        ("GET //x//y/../z HTTP/1.1", "a", "/x/z"),
        ("GET http://b/x/./%7Ey HTTP/1.1", "b", "/x/~y"),
    ];
    for (line, authority, target) in cases {
        let request = accepted(&format!("{line}\r\nHost: a\r\n\r\n"));
        assert_eq!(request.head.authority, authority, "{line}");
        assert_eq!(request.head.target_str(), target, "{line}");
    }
}

#[test]
fn fields_of_the_connection_are_taken_out() {
    let request = accepted(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop, TE\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n\
         X-Hop: 1\r\nx-hop: 2\r\nTE: gzip;q=1, Trailers\r\nTrailer: X-Sum\r\nX-End: 3\r\nHTTP2-Settings: AAA\r\n\r\n",
    );
    let expected = [("trailer", "X-Sum"), ("x-end", "3"), ("te", "trailers")];
    assert_eq!(fields(&request), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(request.keep_alive);
    let without =
        accepted("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\nConnection: content-length\r\nContent-Length: 4\r\n\r\n");
    assert!(without.head.headers.is_empty());
    assert_eq!(without.framing, Framing::Length(4));
}

#[test]
fn waiting_for_leave_is_noted_only_when_content_follows() {
    let waits = |text: &str| accepted(text).expect_continue;
    assert!(waits("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"));
    assert!(!waits("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n"));
    assert!(!waits("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
    let other = accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: else\r\n\r\n");
    assert!(!other.expect_continue);
    assert_eq!(fields(&other), [("expect".into(), "else".into())]);
}

#[test]
fn protocol_switches_are_noted_when_they_are_asked_for_properly() {
    let upgrade = |text: &str| accepted(text).upgrade;
    let asked = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(upgrade(asked).unwrap(), "websocket");
    assert!(accepted(asked).head.headers.is_empty());
    assert!(upgrade("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").is_none());
    assert!(upgrade("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").is_none());
    let with_content = "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n";
    assert!(upgrade(with_content).is_none());
    for http2 in ["h2c", "websocket, H2C", "h2"] {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {http2}\r\n\r\n");
        assert!(upgrade(&text).is_none(), "{http2}");
    }
}
