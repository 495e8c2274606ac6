//! What is read of a `ClientHello`: one name, in a message that is whole and says everything once.

use sekisho_egress::hello::{Hello, HelloError, read};

fn vector16(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes()[..], data].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(data)].concat()
}

fn named(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[&[0][..], &vector16(name)].concat()))
}

/// The handshake message.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &[0], &vector16(&[0x13, 1]), &[1, 0], &vector16(&extensions.concat())].concat();
    [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
}

fn record(part: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &vector16(part)].concat()
}

/// A name, and whether there may be another one.
type Said = Result<Option<(Option<Box<str>>, bool)>, HelloError>;

fn said(read: Result<Option<Hello>, HelloError>) -> Said {
    read.map(|hello| hello.map(|hello| (hello.server_name, hello.encrypted)))
}

fn hello(extensions: &[Vec<u8>]) -> Said {
    said(read(&record(&message(extensions))))
}

fn says(server_name: Option<&str>, encrypted: bool) -> Said {
    Ok(Some((server_name.map(Into::into), encrypted)))
}

#[test]
fn a_name_is_read_in_lower_case() {
    assert_eq!(hello(&[named(b"API.Example.com")]), says(Some("api.example.com"), false));
    assert_eq!(hello(&[extension(43, &[2, 3, 4])]), says(None, false));
}

#[test]
fn an_encrypted_hello_is_told() {
    assert_eq!(hello(&[named(b"front.example"), extension(0xfe0d, &[0])]), says(Some("front.example"), true));
}

#[test]
fn every_beginning_asks_for_more_and_none_is_read_as_something_else() {
    let whole = record(&message(&[named(b"a.example")]));
    for end in 0..whole.len() {
        assert_eq!(read(&whole[..end]), Ok(None), "{end} bytes");
    }
}

#[test]
fn a_message_may_come_in_many_records() {
    let message = message(&[named(b"a.example")]);
    let stream: Vec<u8> = message.chunks(5).flat_map(record).collect();
    assert_eq!(said(read(&stream)), says(Some("a.example"), false));
}

#[test]
fn two_readers_could_read_two_names_and_so_neither_is_taken() {
    let two_entries = [&[0][..], &vector16(b"a.example"), &[0], &vector16(b"b.example")].concat();
    for (what, extensions) in [
        ("the extension twice", vec![named(b"a.example"), named(b"b.example")]),
        ("two names in one", vec![extension(0, &vector16(&two_entries))]),
        ("a name of another type", vec![extension(0, &vector16(&[&[1][..], &vector16(b"a.example")].concat()))]),
        ("an empty name", vec![named(b"")]),
        (
            "bytes after the list",
            vec![extension(0, &[&vector16(&[&[0][..], &vector16(b"a")].concat())[..], b"x"].concat())],
        ),
        ("a name that is no ASCII", vec![named("bücher.example".as_bytes())]),
    ] {
        assert_eq!(hello(&extensions), Err(HelloError::Malformed), "{what}");
    }
}

#[test]
fn what_is_no_tls_is_told_at_its_first_bytes() {
    for stream in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x\r\n", b"\x16\x02\x01", b"\x17\x03\x03"] {
        assert_eq!(read(stream), Err(HelloError::NotTls));
    }
}

#[test]
fn what_follows_a_hello_before_it_was_answered_is_refused() {
    let mut stream = message(&[named(b"a.example")]);
    stream.extend_from_slice(&message(&[named(b"b.example")]));
    assert_eq!(read(&record(&stream)), Err(HelloError::Malformed));
}

#[test]
fn a_hello_without_end_is_too_large() {
    let endless = record(&[&[1, 0xff, 0xff, 0xff][..], &[0; 100]].concat());
    assert_eq!(read(&endless), Err(HelloError::TooLarge));
}
