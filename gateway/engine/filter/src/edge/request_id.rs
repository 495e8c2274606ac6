//! `x-request-id`: one name for a request in every log.

use http::header::HeaderName;
use sekisho_codec::message::Headers;

use super::hexadecimal;

pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_BYTES: usize = 128;

/// Keeps the identifier that a trusted hop has given, or gives a new one.
pub fn apply(trusted_hops: u32, headers: &mut Headers) {
    if trusted_hops == 0 || !headers.only_value(&X_REQUEST_ID).is_some_and(is_plain) {
        headers.set_unique(&X_REQUEST_ID, &generate());
    }
}

fn is_plain(value: &[u8]) -> bool {
    !value.is_empty() && value.len() <= MAX_BYTES && value.iter().all(u8::is_ascii_graphic)
}

/// A UUID of version 4 (RFC 9562, 5.4).
fn generate() -> [u8; 36] {
    const VERSION_MASK: u128 = 0xf << 76;
    const VARIANT_MASK: u128 = 0x3 << 62;
    let bits = (fastrand::u128(..) & !VERSION_MASK & !VARIANT_MASK) | 0x4 << 76 | 0x2 << 62;
    let digits: [u8; 32] = hexadecimal(&bits.to_be_bytes());
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&digits[..8]);
    text[9..13].copy_from_slice(&digits[8..12]);
    text[14..18].copy_from_slice(&digits[12..16]);
    text[19..23].copy_from_slice(&digits[16..20]);
    text[24..].copy_from_slice(&digits[20..]);
    text
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn given(values: &[&'static str]) -> Headers {
        let mut headers = Headers::default();
        values.iter().for_each(|value| headers.append(X_REQUEST_ID.clone(), HeaderValue::from_static(value)));
        headers
    }

    #[test]
    fn only_a_trusted_hop_names_a_request() {
        for (hops, values, kept) in [
            (0, vec!["abc"], false),
            (1, vec!["abc"], true),
            (1, vec!["abc", "def"], false),
            (1, vec![""], false),
            (1, vec!["a b"], false),
            (1, vec![], false),
        ] {
            let mut headers = given(&values);
            apply(hops, &mut headers);
            let id = headers.only_value(&X_REQUEST_ID).expect("one identifier");
            assert_eq!(id == b"abc", kept, "{hops} {values:?}");
        }
    }

    #[test]
    fn new_identifiers_are_random_uuids() {
        let first = generate();
        let text = std::str::from_utf8(&first).expect("ASCII");
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        assert_ne!(first, generate());
    }
}
