//! Response heads: framing by status and method, and reasons to refuse one.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use sekisho_codec::http1::{Framing, HeadError, HeadLimits, ParsedResponse, parse_response};

fn read(text: &str, method: &Method) -> Result<Option<ParsedResponse>, HeadError> {
    parse_response(&mut BytesMut::from(text), method, &HeadLimits::default())
}

fn got(text: &str) -> ParsedResponse {
    read(text, &Method::GET).unwrap().unwrap()
}

#[test]
fn framing_follows_status_method_and_fields() {
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases = [
        (Method::GET, "200 OK", length, Framing::Length(5), true),
        (Method::GET, "200 OK", chunked, Framing::Chunked, true),
        (Method::GET, "200 OK", "", Framing::UntilClose, false),
        (Method::GET, "200", "", Framing::UntilClose, false),
        (Method::HEAD, "200 OK", length, Framing::None, true),
        (Method::HEAD, "200 OK", chunked, Framing::None, true),
        (Method::GET, "204 No Content", "", Framing::None, true),
        (Method::GET, "204 No Content", length, Framing::None, true),
        (Method::GET, "304 Not Modified", length, Framing::None, true),
        (Method::GET, "100 Continue", "", Framing::None, true),
        (Method::GET, "103 Early Hints", "", Framing::None, true),
        (Method::GET, "101 Switching Protocols", "", Framing::None, true),
        (Method::GET, "599 Odd", length, Framing::Length(5), true),
    ];
    for (method, line, fields, framing, keep_alive) in cases {
        let text = format!("HTTP/1.1 {line}\r\n{fields}\r\n");
        let response = read(&text, &method).unwrap().unwrap();
        assert_eq!((response.framing, response.keep_alive), (framing, keep_alive), "{method} {line} {fields}");
    }
}

#[test]
fn a_length_that_describes_what_is_not_sent_stays_in_the_fields() {
    let head = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &Method::HEAD).unwrap().unwrap();
    assert_eq!(head.head.headers.get(&CONTENT_LENGTH).unwrap(), "5");
    let unmodified = got("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(unmodified.head.headers.get(&CONTENT_LENGTH).unwrap(), "5");
    assert!(got("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").head.headers.is_empty());
    assert!(got("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n").head.headers.is_empty());
}

#[test]
fn keeping_the_connection_follows_version_and_options() {
    let kept = |text: &str| got(text).keep_alive;
    assert!(kept("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"));
    assert!(!kept("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"));
    assert!(!kept("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"));
    assert!(kept("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!kept("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
}

#[test]
fn a_switch_names_its_protocol() {
    let switched = got("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\n");
    assert_eq!(switched.head.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(switched.upgrade.unwrap(), "websocket");
    assert_eq!(switched.head.headers.len(), 1);
    assert!(got("HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").upgrade.is_none());
}

#[test]
fn every_malformed_response_is_refused_by_name() {
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both Transfer-Encoding"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "both Transfer-Encoding"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "not exactly chunked"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "values differ"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n", "not a number"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "in an HTTP/1.0 message"),
        ("HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", "folded"),
        ("HTTP/1.1 200 OK\nX: 1\r\n\r\n", "bare LF"),
        ("HTTP/1.1 200 OK\r\nX: 1\rY: 2\r\n\r\n", "bare CR"),
        ("HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", "followed by white space"),
        ("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", "NUL"),
        ("HTTP/1.1 200 OK\r\nHost: a\r\n\r\n", "has a Host"),
        ("HTTP/1.1 20 OK\r\n\r\n", "status line"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "status line"),
        ("HTTP/1.1 099 OK\r\n\r\n", "status code"),
        ("HTTP/1.1  200 OK\r\n\r\n", "status line"),
        ("HTTP 200 OK\r\n\r\n", "first line"),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", "status line"),
    ];
    for (text, reason) in cases {
        match read(text, &Method::GET) {
            Err(HeadError::Malformed(named)) => {
                assert!(named.contains(reason), "{text:?} was refused for {named:?} instead of {reason:?}");
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }
    assert_eq!(read("HTTP/2.0 200 OK\r\n\r\n", &Method::GET).unwrap_err(), HeadError::UnsupportedVersion);
}
