//! Header lists behave the same whether HTTP/1 brought them or they were put together here.

use bytes::BytesMut;
use http::header::{HeaderName, HeaderValue};
use sekisho_codec::http1::{Framing, HeadLimits, parse_request, write_request};
use sekisho_codec::{Headers, RequestHead, Scheme};

const NAMES: [&str; 5] = ["accept", "x-a", "x-b", "x-request-id", "content-type"];

fn received(pairs: &[(&str, &str)]) -> RequestHead {
    let lines: String = pairs.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut buffer = BytesMut::from(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes());
    let parsed = parse_request(&mut buffer, &HeadLimits::default(), Scheme::Http);
    parsed.expect("valid").expect("complete").head
}

fn made(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.append(name.parse().expect("name"), HeaderValue::from_str(value).expect("value"));
    }
    headers
}

fn pairs(headers: &Headers) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned())).collect()
}

fn lines(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    headers.lines().map(|(name, value)| (text(name), text(value))).collect()
}

fn written(head: &RequestHead) -> String {
    let mut out = BytesMut::new();
    write_request(head, &Framing::None, None, &mut out);
    String::from_utf8(out.to_vec()).expect("ASCII")
}

/// One of the changes that filters and the edge make.
fn change(headers: &mut Headers, step: usize, name: HeaderName, value: HeaderValue) {
    match step {
        0 => headers.append(name, value),
        1 => headers.append_copy(&name, &value),
        2 => headers.set(name, value),
        3 => headers.set_unique(&name, value.as_bytes()),
        4 => drop(headers.remove(&name)),
        5 => headers.retain(|other, it| *other != name || it == value),
        6 => headers.append_all(&[(name.clone(), value.clone()), (name, value)].into_iter().collect()),
        _ => headers.retain_names(|other| other != name.as_str().as_bytes()),
    }
}

#[test]
fn any_changes_have_the_same_outcome_in_both_forms() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        let values = ["", "1", "two words", "c"];
        let start: Vec<_> =
            (0..random.usize(..6)).map(|_| (NAMES[random.usize(..NAMES.len())], values[random.usize(..4)])).collect();
        let mut by_wire = received(&start);
        let mut by_hand = RequestHead { headers: made(&start), ..by_wire.clone() };
        for _ in 0..random.usize(..6) {
            let (step, name) = (random.usize(..8), HeaderName::from_static(NAMES[random.usize(..NAMES.len())]));
            let value = HeaderValue::from_static(["n", "1", "new"][random.usize(..3)]);
            change(&mut by_wire.headers, step, name.clone(), value.clone());
            change(&mut by_hand.headers, step, name.clone(), value);
            assert_eq!(by_wire.headers.value(&name), by_hand.headers.value(&name));
            assert_eq!(by_wire.headers.only_value(&name), by_hand.headers.only_value(&name));
            if random.bool() {
                assert_eq!(pairs(&by_wire.headers), pairs(&by_hand.headers));
            }
        }
        assert_eq!(by_wire.headers.len(), by_hand.headers.len());
        assert_eq!(lines(&by_wire.headers), lines(&by_hand.headers));
        assert_eq!(pairs(&by_wire.headers), lines(&by_wire.headers));
        assert_eq!(written(&by_wire), written(&by_hand));
        assert_eq!(by_wire.headers.into_map(), by_hand.headers.into_map());
    }
}

#[test]
fn lines_are_passed_on_in_one_spelling() {
    let mut buffer =
        BytesMut::from(&b"GET / HTTP/1.1\r\nHOST:a\r\nX-A:1\r\nX-B: \t2 \r\nX-D:\t4\r\naccept: 3\r\nX-C:\r\n\r\n"[..]);
    let parsed = parse_request(&mut buffer, &HeadLimits::default(), Scheme::Http).expect("valid").expect("complete");
    assert_eq!(
        written(&parsed.head),
        "GET / HTTP/1.1\r\nhost: a\r\nx-a: 1\r\nx-b: 2\r\nx-d: 4\r\naccept: 3\r\nx-c: \r\n\r\n"
    );
}

#[test]
fn a_unique_value_cannot_bring_another_line() {
    for mut headers in [received(&[("accept", "1")]).headers, made(&[("accept", "1")])] {
        headers.set_unique(&HeaderName::from_static("x-request-id"), b"a\r\nevil: 1");
        assert_eq!(lines(&headers), [("accept".to_owned(), "1".to_owned())]);
    }
}

#[test]
fn unique_values_are_kept_out_of_hpack_tables() {
    for mut headers in [received(&[]).headers, made(&[])] {
        let name = HeaderName::from_static("x-request-id");
        headers.set_unique(&name, b"abc");
        headers.append(HeaderName::from_static("accept"), HeaderValue::from_static("1"));
        assert!(headers.get(&name).is_some_and(HeaderValue::is_sensitive));
        assert!(headers.iter().filter(|(_, value)| value.is_sensitive()).count() == 1);
    }
}
