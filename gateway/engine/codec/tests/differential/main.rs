//! The same bytes read by this codec and by hyper: wherever both accept them, they mean the same. Where only one of the
//! two accepts, the table below says so.
#![allow(clippy::unwrap_used)]

mod oracle;

use bytes::BytesMut;
use fastrand::Rng;
use http::Method;
use sekisho_codec::fields::{elements, is_written_by_encoder};
use sekisho_codec::http1::{BodyDecoder, Decoded, Framing, HeadLimits, parse_request, parse_response};
use sekisho_codec::target::{Normalized, normalize};
use sekisho_codec::{Headers, Scheme};

type Fields = Vec<(String, Vec<u8>)>;

#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub start: String,
    pub headers: Fields,
    pub content: Vec<u8>,
    pub trailers: Fields,
}

fn list(headers: &Headers) -> Fields {
    headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

fn content(framing: Framing, buffer: &mut BytesMut) -> Option<(Vec<u8>, Fields)> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut data, mut trailers) = (Vec::new(), Vec::new());
    loop {
        match decoder.decode(buffer).ok()? {
            Decoded::Data(piece) => data.extend_from_slice(&piece),
            Decoded::Trailers(fields) => trailers = list(&fields),
            Decoded::NeedMore => decoder.finish_at_eof().ok()?,
            Decoded::End => return Some((data, trailers)),
        }
    }
}

fn our_request(wire: &[u8]) -> Option<Message> {
    let mut buffer = BytesMut::from(wire);
    let parsed = parse_request(&mut buffer, &HeadLimits::default(), Scheme::Http).ok()??;
    let (content, trailers) = content(parsed.framing, &mut buffer)?;
    let head = parsed.head;
    let start = format!("{} {} {:?} {:?}", head.method, head.target_str(), head.authority, head.version);
    Some(Message { start, headers: sorted(list(&head.headers)), content, trailers })
}

fn our_response(wire: &[u8], method: &Method) -> Option<Message> {
    let mut buffer = BytesMut::from(wire);
    let parsed = parse_response(&mut buffer, method, &HeadLimits::default()).ok()??;
    let (content, trailers) = content(parsed.framing, &mut buffer)?;
    let mut headers = parsed.head.headers;
    headers.remove(&http::header::CONTENT_LENGTH);
    Some(Message { start: parsed.head.status.as_str().to_owned(), headers: sorted(list(&headers)), content, trailers })
}

fn sorted(mut fields: Fields) -> Fields {
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

/// What a gateway passes on of the fields that hyper read, by the rules that this codec states.
fn end_to_end(fields: &Fields) -> Fields {
    let options: Vec<String> = fields
        .iter()
        .filter(|(name, _)| name == "connection")
        .flat_map(|(_, value)| elements(value).map(|option| String::from_utf8_lossy(option).to_ascii_lowercase()))
        .collect();
    let mut trailers_taken = false;
    let kept = fields.iter().filter(|(name, value)| {
        trailers_taken |= name == "te" && elements(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
        let connection = is_written_by_encoder(&name.parse().unwrap()) || name == "te" || name == "http2-settings";
        let leave = name == "expect" && value.eq_ignore_ascii_case(b"100-continue");
        !connection && !leave && !options.contains(name)
    });
    let mut kept: Fields = kept.cloned().collect();
    if trailers_taken {
        kept.push(("te".to_owned(), b"trailers".to_vec()));
    }
    sorted(kept)
}

/// hyper's message, as this codec would tell it.
fn their_request(wire: &[u8]) -> Option<Message> {
    let read = oracle::request(wire)?;
    let (method, rest) = read.start.split_once(' ')?;
    let (uri, version) = rest.rsplit_once(' ')?;
    let parsed: http::Uri = uri.parse().ok()?;
    let host = read.headers.iter().find(|(name, _)| name == "host").map(|(_, value)| value.clone());
    let authority = parsed.authority().map_or(host.unwrap_or_default(), |named| named.as_str().as_bytes().to_vec());
    let authority = http::HeaderValue::from_bytes(&authority).ok()?;
    let path = parsed.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let asterisk = method == "OPTIONS"
        && (uri == "*" || (parsed.authority().is_some() && uri.ends_with(parsed.authority()?.as_str())));
    let target = match normalize(path.as_bytes()) {
        _ if asterisk => "*".to_owned(),
        Ok(Normalized::Changed(target)) => String::from_utf8_lossy(&target).into_owned(),
        Ok(Normalized::Unchanged) | Err(_) => path.to_owned(),
    };
    let start = format!("{method} {target} {authority:?} {version}");
    Some(Message { start, headers: end_to_end(&read.headers), ..read })
}

fn their_response(wire: &[u8], method: &Method) -> Option<Message> {
    let read = oracle::response(wire, method)?;
    let status = read.start.split(' ').next()?.to_owned();
    Some(Message { start: status, headers: end_to_end(&read.headers), ..read })
}

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /x/y?z=1&z HTTP/1.1\r\nHost: Example.com:8080\r\nAccept: */*\r\nX-Empty:\r\nX-Two: 1\r\nX-Two: 2 \t\r\n\r\n",
    "GET /a/./b/../%7Ec HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://b:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTrailer: X-Sum\r\n\r\n1;a=b\r\nx\r\n0\r\nX-Sum: 9\r\n\r\n",
    "BREW /pot HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=\"d\"\r\nX-Bytes: \u{e9}\r\n\r\n",
];

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nuntil the end",
    "HTTP/1.1 299 \u{e9}\r\nContent-Length: 1\r\n\r\nx",
];

#[test]
fn both_read_the_same_from_ordinary_messages() {
    for text in REQUESTS {
        let ours = our_request(text.as_bytes());
        assert!(ours.is_some(), "{text:?}");
        assert_eq!(ours, their_request(text.as_bytes()), "{text:?}");
    }
    for text in RESPONSES {
        for method in [Method::GET, Method::HEAD] {
            let ours = our_response(text.as_bytes(), &method);
            assert!(ours.is_some(), "{text:?}");
            assert_eq!(ours, their_response(text.as_bytes(), &method), "{method} {text:?}");
        }
    }
}

/// Where this codec is the stricter of the two: hyper takes each of these.
const STRICTER_REQUESTS: &[(&str, &str)] = &[
    ("both lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("both lengths", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (
        "the coding twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("bare LF", "GET / HTTP/1.1\nHost: a\n\n"),
    ("bare LF in a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    ("empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no Host", "GET / HTTP/1.1\r\n\r\n"),
    ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("a Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ("a Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("an authority with user information", "GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("another scheme", "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an escaped NUL", "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a broken escape", "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("hidden dot segments", "GET /a%2f..%2fb HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("an asterisk", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    (
        "space after a chunk size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
    ),
    (
        "a long size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000001\r\nx\r\n0\r\n\r\n",
    ),
    (
        "a control byte in an extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\x01\r\nx\r\n0\r\n\r\n",
    ),
    (
        "framing in trailers",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n",
    ),
];

const STRICTER_RESPONSES: &[(&str, &str)] = &[
    ("both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("a coding that does not end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil the end"),
    ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("an empty line", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a Host", "HTTP/1.1 200 OK\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
];

#[test]
fn this_codec_is_stricter_where_the_table_says() {
    for (what, text) in STRICTER_REQUESTS {
        assert!(our_request(text.as_bytes()).is_none(), "{what}: {text:?}");
        assert!(their_request(text.as_bytes()).is_some(), "{what}: hyper refuses {text:?} too");
    }
    for (what, text) in STRICTER_RESPONSES {
        assert!(our_response(text.as_bytes(), &Method::GET).is_none(), "{what}: {text:?}");
        assert!(their_response(text.as_bytes(), &Method::GET).is_some(), "{what}: hyper refuses {text:?} too");
    }
}

#[test]
fn mutated_messages_mean_the_same_to_both_and_nothing_is_accepted_here_alone() {
    const INTERESTING: &[u8] = b"\r\n \t:;,%/.?0fF-+aA=";
    let mut random = Rng::with_seed(41);
    let (mut both, mut only_hyper) = (0u32, 0u32);
    for _ in 0..30_000 {
        let request = random.bool();
        let samples = if request { REQUESTS } else { RESPONSES };
        let mut wire = samples[random.usize(..samples.len())].as_bytes().to_vec();
        for _ in 0..random.usize(1..4) {
            let place = random.usize(..wire.len());
            match random.u8(..4) {
                0 => wire[place] = INTERESTING[random.usize(..INTERESTING.len())],
                1 => wire.insert(place, INTERESTING[random.usize(..INTERESTING.len())]),
                2 if wire.len() > 1 => drop(wire.remove(place)),
                _ => {
                    let end = (place + random.usize(1..24)).min(wire.len());
                    let copied = wire[place..end].to_vec();
                    let at = random.usize(..=wire.len());
                    wire.splice(at..at, copied);
                }
            }
        }
        let (ours, theirs) = if request {
            (our_request(&wire), their_request(&wire))
        } else {
            (our_response(&wire, &Method::GET), their_response(&wire, &Method::GET))
        };
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                both += 1;
                assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&wire));
            }
            (Some(_), None) => panic!("hyper refuses {:?}", String::from_utf8_lossy(&wire)),
            (None, Some(_)) => only_hyper += 1,
            (None, None) => {}
        }
    }
    // The loop is worth something only when a good part of the mutants gets through, and another part does not.
    assert!(both > 5_000 && only_hyper > 1_000, "{both} {only_hyper}");
}
