//! Which fields belong to one connection, and which describe how the content is delimited (RFC 9110, 7.6.1).
//!
//! Encoders never take these from a header list: they write them from the framing they were given, so nothing that
//! edits a header list can desynchronise two peers.

use http::header::HeaderName;

/// True for the fields that mean something on one connection only.
pub fn is_connection_specific(name: &HeaderName) -> bool {
    names_connection(name.as_str().as_bytes())
}

fn names_connection(name: &[u8]) -> bool {
    match name.len() {
        7 => name == b"upgrade",
        10 => name == b"connection" || name == b"keep-alive",
        16 => name == b"proxy-connection",
        17 => name == b"transfer-encoding",
        _ => false,
    }
}

/// True for the fields that an encoder writes itself, from the authority and the framing.
pub fn is_written_by_encoder(name: &HeaderName) -> bool {
    names_encoders_own(name.as_str().as_bytes())
}

pub(crate) fn names_encoders_own(name: &[u8]) -> bool {
    match name.len() {
        4 => name == b"host",
        14 => name == b"content-length",
        _ => names_connection(name),
    }
}

/// True for the fields that must not come after the content (RFC 9110, 6.5.1): they decide framing or routing.
pub fn is_forbidden_in_trailers(name: &HeaderName) -> bool {
    is_written_by_encoder(name) || matches!(name.as_str(), "te" | "trailer")
}

/// The comma-separated elements of a field value, without surrounding white space; empty elements are left out.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The value of a `Content-Length` field: digits alone, without sign, space or list.
pub fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |total, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        total.checked_mul(10)?.checked_add(digit)
    })
}
