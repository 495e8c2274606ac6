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

/// Whether a text holds a control byte other than a tab, which no field value may (RFC 9110, 5.5).
pub(crate) fn holds_control(text: &[u8]) -> bool {
    let unusual = match text.last_chunk() {
        // Eight bytes at a time, the last of them perhaps twice.
        Some(last) => is_unusual(last) || text.as_chunks().0.iter().any(is_unusual),
        None => true,
    };
    unusual && text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// Whether one of eight bytes is a control byte.
#[inline]
fn is_unusual(bytes: &[u8; 8]) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    let word = u64::from_le_bytes(*bytes);
    // The high bit of a byte is set where subtracting borrowed: below a space, or nothing left beside DEL.
    let below_space = word.wrapping_sub(EACH * 0x20) & !word;
    let beside_delete = word ^ (EACH * 0x7f);
    let delete = beside_delete.wrapping_sub(EACH) & !beside_delete;
    (below_space | delete) & (EACH * 0x80) != 0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_found_wherever_they_are() {
        for length in 0..20 {
            let mut text = vec![b'a'; length];
            assert!(!holds_control(&text));
            for position in 0..length {
                for byte in 0..=u8::MAX {
                    text[position] = byte;
                    let expected = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
                    assert_eq!(holds_control(&text), expected, "{byte:#x} at {position} of {length}");
                }
                text[position] = [b'\t', 0x20, 0x80, 0xff][position % 4];
            }
        }
    }
}
