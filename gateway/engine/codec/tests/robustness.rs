//! However input arrives it means the same, and whatever arrives nothing panics.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use http::Method;
use sekisho_codec::Scheme;
use sekisho_codec::http1::{BodyDecoder, BodyEncoder, BodyError, Decoded, Framing, HeadError, HeadLimits, HeadReader};

const LIMITS: HeadLimits = HeadLimits { max_bytes: 4096, max_headers: 64 };

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET /x/../y//z?q=1 HTTP/1.1\r\nHost: Example.com:80\r\nAccept: */*\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\n\r\n",
    "POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\nhello world",
    "POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n4;x=y\r\nwiki\r\n0\r\nX-Sum: 1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "GET http://b/%7ex HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
];

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200\r\nServer: x\r\n\r\nuntil the end",
    "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02",
];

#[derive(Debug, PartialEq)]
enum Outcome {
    Incomplete,
    Refused(HeadError),
    Message { head: String, framing: Framing, content: Result<Vec<u8>, BodyError>, trailers: String },
}

/// Reads one message of which the parts arrive one after the other.
fn read<'a>(parts: impl Iterator<Item = &'a [u8]>, request: bool) -> Outcome {
    let mut parts = parts;
    let mut buffer = BytesMut::new();
    let mut reader = HeadReader::new();
    let (head, framing) = loop {
        let parsed = if request {
            reader.request(&mut buffer, &LIMITS, Scheme::Http).map(|parsed| {
                parsed.map(|message| {
                    let framing = message.framing;
                    (format!("{message:?}"), framing)
                })
            })
        } else {
            reader.response(&mut buffer, &Method::GET, &LIMITS).map(|parsed| {
                parsed.map(|message| {
                    let framing = message.framing;
                    (format!("{message:?}"), framing)
                })
            })
        };
        match parsed {
            Ok(Some(message)) => break message,
            Ok(None) => match parts.next() {
                Some(part) => buffer.extend_from_slice(part),
                None => return Outcome::Incomplete,
            },
            Err(error) => return Outcome::Refused(error),
        }
    };
    let (content, trailers) = read_content(framing, buffer, parts);
    Outcome::Message { head, framing, content, trailers }
}

fn read_content<'a>(
    framing: Framing,
    mut buffer: BytesMut,
    mut parts: impl Iterator<Item = &'a [u8]>,
) -> (Result<Vec<u8>, BodyError>, String) {
    let mut decoder = BodyDecoder::new(framing);
    let mut content = Vec::new();
    let mut fields = String::new();
    loop {
        match decoder.decode(&mut buffer) {
            Ok(Decoded::Data(data)) => content.extend_from_slice(&data),
            Ok(Decoded::Trailers(trailers)) => fields = format!("{trailers:?}"),
            Ok(Decoded::End) => return (Ok(content), fields),
            Ok(Decoded::NeedMore) => match parts.next() {
                Some(part) => buffer.extend_from_slice(part),
                None => {
                    if let Err(error) = decoder.finish_at_eof() {
                        return (Err(error), fields);
                    }
                }
            },
            Err(error) => return (Err(error), fields),
        }
    }
}

fn samples() -> impl Iterator<Item = (&'static str, bool)> {
    REQUESTS.iter().map(|text| (*text, true)).chain(RESPONSES.iter().map(|text| (*text, false)))
}

#[test]
fn valid_messages_read_the_same_when_cut_at_any_byte_or_any_three() {
    let mut random = Rng::with_seed(11);
    for (text, request) in samples() {
        let wire = text.as_bytes();
        let whole = read(std::iter::once(wire), request);
        assert!(matches!(whole, Outcome::Message { content: Ok(_), .. }), "{text:?} gave {whole:?}");
        for cut in 0..=wire.len() {
            assert_eq!(read([&wire[..cut], &wire[cut..]].into_iter(), request), whole, "{text:?} cut at {cut}");
        }
        assert_eq!(read(wire.chunks(1), request), whole, "{text:?} byte by byte");
        for _ in 0..200 {
            let mut cuts = [0; 3].map(|_| random.usize(0..=wire.len()));
            cuts.sort_unstable();
            let [first, second, third] = cuts;
            let parts = [&wire[..first], &wire[first..second], &wire[second..third], &wire[third..]];
            assert_eq!(read(parts.into_iter(), request), whole, "{text:?} cut at {cuts:?}");
        }
    }
}

#[test]
fn mutated_messages_never_panic_and_read_the_same_however_they_arrive() {
    const INTERESTING: &[u8] = b"\r\n\r\n\0 \t:;,%/.\\#?0fF-+\x7f\x80\xff";
    let mut random = Rng::with_seed(23);
    let all: Vec<_> = samples().collect();
    let mut accepted = 0u32;
    for round in 0..120_000u32 {
        let (text, request) = all[random.usize(..all.len())];
        let mut wire = text.as_bytes().to_vec();
        for _ in 0..random.usize(1..5) {
            if wire.is_empty() {
                break;
            }
            let place = random.usize(..wire.len());
            match random.u8(..6) {
                0 => wire[place] = random.u8(..),
                1 => wire[place] = INTERESTING[random.usize(..INTERESTING.len())],
                2 => wire.insert(place, INTERESTING[random.usize(..INTERESTING.len())]),
                3 => drop(wire.remove(place)),
                4 => wire.truncate(place),
                _ => {
                    let end = (place + random.usize(1..20)).min(wire.len());
                    let copied = wire[place..end].to_vec();
                    let at = random.usize(..=wire.len());
                    wire.splice(at..at, copied);
                }
            }
        }
        let whole = read(std::iter::once(wire.as_slice()), request);
        accepted += u32::from(matches!(whole, Outcome::Message { content: Ok(_), .. }));
        if round % 8 == 0 {
            assert_eq!(read(wire.chunks(1), request), whole, "{:?}", String::from_utf8_lossy(&wire));
        }
    }
    // The loop is worth something only when a good part of the mutants gets through.
    assert!(accepted > 10_000, "{accepted}");
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Rng::with_seed(31);
    for _ in 0..20_000 {
        let wire: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
        let _ = read(wire.chunks(17), true);
        let _ = read(wire.chunks(17), false);
        let _ = read_content(Framing::Chunked, BytesMut::from(&wire[..]), std::iter::empty());
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut random = Rng::with_seed(43);
    for _ in 0..3_000 {
        let pieces: Vec<Bytes> = (0..random.usize(..6))
            .map(|_| (0..random.usize(..300)).map(|_| random.u8(..)).collect::<Vec<_>>().into())
            .collect();
        let whole = pieces.concat();
        let framing = match random.u8(..3) {
            0 => Framing::Chunked,
            1 => Framing::UntilClose,
            _ => Framing::Length(whole.len() as u64),
        };
        let mut encoder = BodyEncoder::new(framing);
        let mut wire = BytesMut::new();
        for piece in &pieces {
            encoder.data(piece, &mut wire).unwrap();
        }
        encoder.finish(None, &mut wire).unwrap();
        let step = random.usize(1..=wire.len().max(1));
        let (read, _) = read_content(framing, BytesMut::new(), wire.chunks(step));
        assert_eq!(read, Ok(whole));
    }
}
