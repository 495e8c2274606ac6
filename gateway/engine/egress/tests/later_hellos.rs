//! Hellos behind the first one: each is found, however it is cut, and what is no hello ends the search.

use sekisho_egress::hello::{Hello, HelloError, read};
use sekisho_egress::later_hellos::LaterHellos;

fn vector16(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes()[..], data].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(data)].concat()
}

fn named(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[&[0][..], &vector16(name)].concat()))
}

fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &[0], &vector16(&[0x13, 1]), &[1, 0], &vector16(&extensions.concat())].concat();
    [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
}

fn record(kind: u8, part: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &vector16(part)].concat()
}

fn hello_of(name: &[u8]) -> Vec<u8> {
    record(22, &message(&[named(name)]))
}

fn first(early_data: bool) -> Hello {
    let mut extensions = vec![named(b"a.example")];
    if early_data {
        extensions.push(extension(42, &[]));
    }
    let stream = [record(22, &message(&extensions)), b"rest".to_vec()].concat();
    let hello = read(&stream).expect("a hello").expect("a whole one");
    assert_eq!((hello.early_data, hello.end), (early_data, stream.len() - 4));
    hello
}

/// Names of the hellos in a stream that comes in pieces of one length.
fn names(first: &Hello, stream: &[u8], piece: usize) -> Result<(Vec<String>, bool), HelloError> {
    let mut later = LaterHellos::after(first);
    let mut names = Vec::new();
    for mut bytes in stream.chunks(piece) {
        while let Some(hello) = later.next(&mut bytes)? {
            names.push(hello.server_name.expect("a name").into());
        }
    }
    Ok((names, later.is_over()))
}

#[test]
fn another_hello_is_found_however_it_is_cut() {
    let change = record(20, &[1]);
    let fragments: Vec<u8> = message(&[named(b"b.example")]).chunks(3).flat_map(|part| record(22, part)).collect();
    for stream in
        [hello_of(b"b.example"), [change.clone(), hello_of(b"b.example")].concat(), [change, fragments].concat()]
    {
        for piece in [1, 2, 7, 4096] {
            assert_eq!(names(&first(false), &stream, piece), Ok((vec!["b.example".into()], false)));
        }
    }
}

#[test]
fn a_third_hello_is_found_behind_the_second() {
    let stream = [hello_of(b"a.example"), hello_of(b"c.example")].concat();
    assert_eq!(names(&first(false), &stream, 10), Ok((vec!["a.example".into(), "c.example".into()], false)));
}

#[test]
fn data_that_comes_early_hides_no_hello() {
    let stream = [record(23, &[9; 300]), record(23, &[]), record(20, &[1]), hello_of(b"b.example")].concat();
    assert_eq!(names(&first(true), &stream, 11), Ok((vec!["b.example".into()], false)));
    assert_eq!(names(&first(false), &stream, 11), Ok((Vec::new(), true)), "it was not announced");
}

#[test]
fn the_rest_of_a_handshake_is_nobody_s_business() {
    let key_exchange = record(22, &[16, 0, 0, 1, 0]);
    let finished = [record(20, &[1]), record(22, &[0x01; 40])].concat();
    for stream in [key_exchange, finished, record(22, &[1, 0, 0, 40, 9, 9]), record(23, b"encrypted")] {
        for piece in [1, 4096] {
            assert_eq!(names(&first(false), &stream, piece), Ok((Vec::new(), true)));
        }
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let begun = record(22, &message(&[named(b"b.example")])[..20]);
    let with_more = record(22, &[message(&[named(b"a.example")]), vec![1]].concat());
    for (what, stream) in [
        ("data in the midst of a hello", [begun.clone(), record(23, b"x")].concat()),
        ("an alert in the midst of a hello", [begun, record(21, &[1, 0])].concat()),
        ("more in the record", with_more),
        ("an empty record", record(22, &[])),
        ("no TLS", b"GET / HTTP/1.1\r\n".to_vec()),
        ("two names", record(22, &message(&[named(b"a.example"), named(b"b.example")]))),
    ] {
        assert_eq!(names(&first(true), &stream, 4096), Err(HelloError::Malformed), "{what}");
    }
    let long = record(22, &[1, 1, 0, 1, 3, 3]);
    assert_eq!(names(&first(false), &long, 4096), Err(HelloError::TooLarge));
}
