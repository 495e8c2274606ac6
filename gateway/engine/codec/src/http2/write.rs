//! Writing heads and trailers as frames.

use bytes::BytesMut;
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};

use super::frame::{HEAD, finish_headers};
use super::hpack::Encoder;
use crate::{BodyKind, Headers, RequestHead, ResponseHead};

/// Where a block goes, and whether it is the last of its stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub stream: u32,
    pub end_stream: bool,
}

pub(super) fn request(head: &RequestHead, kind: BodyKind, place: Place, encoder: &mut Encoder, out: &mut BytesMut) {
    block(place, encoder, out, |encoder, out| {
        encoder.method(&head.method, out);
        // A tunnel has neither scheme nor path (RFC 9113, 8.5).
        let tunnel = head.method == Method::CONNECT;
        if !tunnel {
            encoder.scheme(head.scheme, out);
        }
        encoder.authority(head.authority.as_bytes(), out);
        if !tunnel {
            path(&head.target, encoder, out);
        }
        if let BodyKind::Length(length) = kind {
            encoder.content_length(length, out);
        }
        fields(&head.headers, encoder, out);
    });
}

/// `describes`: the response may tell the length of content that it does not bring.
pub(super) fn response(
    head: &ResponseHead,
    kind: BodyKind,
    describes: bool,
    place: Place,
    encoder: &mut Encoder,
    out: &mut BytesMut,
) {
    let bodiless = head.status.is_informational() || head.status == StatusCode::NO_CONTENT;
    block(place, encoder, out, |encoder, out| {
        encoder.status(head.status, out);
        match (kind, head.headers.value(&CONTENT_LENGTH)) {
            _ if bodiless => {}
            (BodyKind::Length(length), _) if head.status != StatusCode::NOT_MODIFIED => {
                encoder.content_length(length, out);
            }
            (_, Some(length)) if describes => encoder.described_length(length, out),
            _ => {}
        }
        fields(&head.headers, encoder, out);
    });
}

pub(super) fn trailers(trailers: &Headers, stream: u32, encoder: &mut Encoder, out: &mut BytesMut) {
    block(Place { stream, end_stream: true }, encoder, out, |encoder, out| fields(trailers, encoder, out));
}

fn block(place: Place, encoder: &mut Encoder, out: &mut BytesMut, write: impl FnOnce(&mut Encoder, &mut BytesMut)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    encoder.begin(out);
    write(encoder, out);
    finish_headers(start, place.stream, place.end_stream, out);
}

fn fields(headers: &Headers, encoder: &mut Encoder, out: &mut BytesMut) {
    for (name, value, sensitive) in headers.fields() {
        encoder.field(name, value, sensitive, out);
    }
}

/// Targets that HTTP/1 lets pass may hold characters which belong escaped (RFC 3986, 2).
fn path(target: &[u8], encoder: &mut Encoder, out: &mut BytesMut) {
    let belongs_escaped = |byte: &u8| matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'^' | b'\\');
    if !target.iter().any(belongs_escaped) {
        return encoder.path(target, out);
    }
    let mut escaped = Vec::with_capacity(target.len() + 8);
    for byte in target {
        if belongs_escaped(byte) {
            escaped.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            escaped.push(*byte);
        }
    }
    encoder.path(&escaped, out);
}
