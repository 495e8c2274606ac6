//! Awaiting what is polled, and reading what a peer got.
#![allow(dead_code, unused_macros, unused_imports, clippy::unwrap_used)]

pub mod http2;

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use sekisho_codec::http1::{HeadLimits, ParsedRequest, ParsedResponse};
use sekisho_codec::{Headers, Piece, RequestHead, ResponseHead, Scheme};
use sekisho_stream::{Http1, ResponseOptions, StreamError};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

pub const LIMITS: HeadLimits = HeadLimits { max_bytes: 8 * 1024, max_headers: 64 };

pub type Connection = Http1<DuplexStream>;

/// A connection of ours, and its peer; `room` bytes fit in between.
pub fn pair(room: usize) -> (Connection, DuplexStream) {
    let (ours, peer) = duplex(room);
    (Http1::new(ours), peer)
}

pub async fn request(connection: &mut Connection) -> Result<ParsedRequest, StreamError> {
    poll_fn(|cx| connection.poll_request(cx, &LIMITS, Scheme::Http)).await
}

pub async fn response(connection: &mut Connection, method: &Method) -> Result<ParsedResponse, StreamError> {
    poll_fn(|cx| connection.poll_response(cx, method, &LIMITS)).await
}

pub async fn flush(connection: &mut Connection) -> Result<(), StreamError> {
    poll_fn(|cx| connection.poll_flush(cx)).await
}

#[derive(Debug, Default, PartialEq)]
pub struct Content {
    pub data: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Content {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.data).unwrap()
    }

    pub fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Data(data) => self.data.extend_from_slice(&data),
            Piece::Trailers(trailers) => self.trailers = fields(&trailers),
        }
    }
}

/// Everything that a `poll_recv` yields.
macro_rules! content {
    ($stream:expr) => {{
        let mut content = crate::support::Content::default();
        loop {
            match std::future::poll_fn(|cx| $stream.poll_recv(cx)).await {
                Some(Ok(piece)) => content.add(piece),
                Some(Err(error)) => break Err(error),
                None => break Ok(content),
            }
        }
    }};
}
pub(crate) use content;

/// The outcome of polling once.
pub fn once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

pub fn fields(headers: &Headers) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

pub fn headers(list: &[(&'static str, &'static str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in list {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

pub fn head(status: u16) -> ResponseHead {
    ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers: Headers::default() }
}

pub fn ask(method: Method, target: &'static str) -> RequestHead {
    RequestHead {
        method,
        scheme: Scheme::Http,
        authority: HeaderValue::from_static("a.example:81"),
        target: Bytes::from_static(target.as_bytes()),
        version: Version::HTTP_11,
        headers: Headers::default(),
    }
}

pub fn options(method: &Method) -> ResponseOptions<'_> {
    ResponseOptions { method, version: Version::HTTP_11, keep_alive: true, upgrade: None }
}

pub fn data(text: &'static str) -> Piece {
    Piece::Data(Bytes::from_static(text.as_bytes()))
}

/// What has arrived at the peer: everything up to a pause.
pub async fn arrived(peer: &mut DuplexStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_millis(20), peer.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(all).unwrap()
}
