//! `x-request-id`: one name for a request in every log.

use http::header::{HeaderName, HeaderValue};
use sekisho_codec::message::Headers;

pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_BYTES: usize = 128;

/// Keeps the identifier that a trusted hop has given, or gives a new one; returns what the request carries now.
pub fn apply(trusted_hops: u32, headers: &mut Headers) -> HeaderValue {
    if trusted_hops > 0
        && let Some(given) = single(headers)
    {
        return given;
    }
    let value = generate();
    headers.set(X_REQUEST_ID.clone(), value.clone());
    value
}

fn single(headers: &Headers) -> Option<HeaderValue> {
    let mut values = headers.get_all(&X_REQUEST_ID);
    let value = values.next().filter(|_| values.next().is_none())?;
    let bytes = value.as_bytes();
    let is_plain = !bytes.is_empty() && bytes.len() <= MAX_BYTES && bytes.iter().all(u8::is_ascii_graphic);
    is_plain.then(|| value.clone())
}

/// A UUID of version 4 (RFC 9562, 5.4).
fn generate() -> HeaderValue {
    const VERSION_MASK: u128 = 0xf << 76;
    const VARIANT_MASK: u128 = 0x3 << 62;
    let bits = (fastrand::u128(..) & !VERSION_MASK & !VARIANT_MASK) | 0x4 << 76 | 0x2 << 62;
    let mut text = [b'-'; 36];
    let mut shift = 128;
    for (position, place) in text.iter_mut().enumerate() {
        if !matches!(position, 8 | 13 | 18 | 23) {
            shift -= 4;
            *place = b"0123456789abcdef"[(bits >> shift & 0xf) as usize];
        }
    }
    // Only hexadecimal digits and dashes, so it cannot be refused.
    let mut value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-"));
    super::never_index(&mut value);
    value
}

#[cfg(test)]
mod tests {
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
            let id = apply(hops, &mut headers);
            assert_eq!(id == "abc", kept, "{hops} {values:?}");
            assert_eq!(headers.get_all(&X_REQUEST_ID).collect::<Vec<_>>(), [&id]);
        }
    }

    #[test]
    fn new_identifiers_are_random_uuids() {
        let first = generate();
        let text = first.to_str().expect("ASCII");
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        assert_ne!(first, generate());
    }
}
