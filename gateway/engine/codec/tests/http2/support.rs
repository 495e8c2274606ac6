//! Transcripts: what one side of a connection hears and says, frame by frame.

use std::time::Instant;

use bytes::BytesMut;
use sekisho_codec::Scheme;
use sekisho_codec::http2::hpack::{Decoder, Field};
use sekisho_codec::http2::{Accepted, Connection, Limits, Reason, Role};

pub const LIMITS: Limits = Limits {
    max_concurrent_streams: 100,
    stream_window: 65_535,
    connection_window: 65_535,
    max_header_list_size: 16_384,
    max_send_buffer: 64 * 1024,
    max_resets: 20,
    takes_connect: false,
    keeps_scheme: false,
    clock: Instant::now,
};

/// `:method GET`, `:scheme http`, `:path /`, `:authority a`.
pub const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
/// The same with POST.
pub const POST: &[u8] = b"\x83\x86\x84\x41\x01a";

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;

/// A connection under test.
pub struct Side {
    pub connection: Connection,
    decoder: Decoder,
    client: bool,
}

/// A server that has exchanged settings with its client.
pub fn server() -> Side {
    server_with(LIMITS)
}

pub fn server_with(limits: Limits) -> Side {
    let mut side = Side::new(Role::Server(Scheme::Http), limits);
    side.hears(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    side.hears(&[settings(&[]), frame(4, 1, 0, b"")].concat());
    side.says();
    side
}

/// A client that has exchanged settings with its server.
pub fn client() -> Side {
    let mut side = Side::new(Role::Client, LIMITS);
    side.hears(&[settings(&[]), frame(4, 1, 0, b"")].concat());
    side.says();
    side
}

impl Side {
    pub fn new(role: Role, limits: Limits) -> Self {
        let client = role == Role::Client;
        Self { connection: Connection::new(role, limits), decoder: Decoder::new(4096), client }
    }

    pub fn hears(&mut self, wire: &[u8]) {
        self.connection.receive(&mut BytesMut::from(wire));
    }

    /// What hearing `wire` makes it say.
    pub fn answers(&mut self, wire: &[u8]) -> Vec<String> {
        self.hears(wire);
        self.says()
    }

    pub fn accepts(&mut self) -> Accepted {
        self.connection.pop_accepted().expect("a request")
    }

    /// Everything that waits to be written, a line a frame.
    pub fn says(&mut self) -> Vec<String> {
        let mut wire = Vec::new();
        let mut slices = [std::io::IoSlice::new(&[]); 64];
        let count = self.connection.outgoing().slices(&mut slices);
        slices[..count].iter().for_each(|slice| wire.extend_from_slice(slice));
        self.connection.written(wire.len());
        let mut rest = wire.as_slice();
        let mut lines = Vec::new();
        if self.client && rest.starts_with(b"PRI") {
            lines.push("PRI".to_owned());
            rest = &rest[24..];
        }
        while let Some((head, after)) = rest.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            lines.push(self.line(head[3], head[4], stream, &after[..length]));
            rest = &after[length..];
        }
        lines
    }

    fn line(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> String {
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let end = if flags & END_STREAM != 0 { " end" } else { "" };
        match kind {
            0 if payload.len() > 40 => format!("DATA {stream} {} bytes{end}", payload.len()),
            0 => format!("DATA {stream} {:?}{end}", payload.escape_ascii().to_string()),
            1 => {
                let mut fields = Vec::new();
                self.decoder.decode(payload, |field, _| fields.push(short(&field))).unwrap();
                format!("HEADERS {stream} {}{end}", fields.join(" "))
            }
            3 => format!("RST_STREAM {stream} {:?}", Reason::from(number(0))),
            4 if flags & 1 != 0 => "SETTINGS ack".to_owned(),
            4 => format!("SETTINGS {}", payload.len() / 6),
            6 if flags & 1 != 0 => "PING ack".to_owned(),
            6 => format!("PING {}", payload.escape_ascii()),
            7 => format!("GOAWAY {} {:?}", number(0), Reason::from(number(4))),
            8 => format!("WINDOW_UPDATE {stream} +{}", number(0)),
            _ => format!("kind {kind}"),
        }
    }
}

fn short(field: &Field) -> String {
    match field {
        Field::Method(method) => method.to_string(),
        Field::Scheme(scheme) => scheme.escape_ascii().to_string(),
        Field::Authority(value) => value.to_str().unwrap().to_owned(),
        Field::Path(path) => path.escape_ascii().to_string(),
        Field::Status(status) => status.as_str().to_owned(),
        Field::Regular(name, value, _) => format!("{name}={}", value.as_bytes().escape_ascii()),
        Field::Malformed(name) => format!("{name:?}"),
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(1, flags | END_HEADERS, stream, block)
}

pub fn data(stream: u32, flags: u8, content: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, content)
}

pub fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &u32::from(Reason::CANCEL).to_be_bytes())
}

pub fn settings(list: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        list.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(4, 0, 0, &payload)
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(8, 0, stream, &increment.to_be_bytes())
}

/// A field that is not indexed.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| {
        let mut out = BytesMut::new();
        match text.len() {
            length @ 0..127 => out.extend_from_slice(&[length as u8]),
            length => out.extend_from_slice(&[127, ((length - 127) & 0x7f) as u8 | 0x80, ((length - 127) >> 7) as u8]),
        }
        out.to_vec()
    };
    [&[0][..], &length(name), name.as_bytes(), &length(value), value.as_bytes()].concat()
}

pub fn with(head: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = head.to_vec();
    fields.iter().for_each(|(name, value)| block.extend(field(name, value)));
    block
}

/// Names and values.
pub type Fields = &'static [(&'static str, &'static str)];
