//! `Proxy-Authorization: Basic` (RFC 7617): the user, and a digest in place of the password.

use http::HeaderValue;
use sekisho_egress::Credential;

const MAX_BYTES: usize = 4096;

/// `None` for anything else than one readable pair.
pub fn read(value: &HeaderValue) -> Option<Credential> {
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_BYTES)?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = decode(encoded.trim().as_bytes())?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = std::str::from_utf8(&decoded[..colon]).ok()?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &decoded[colon + 1..]);
    Some(Credential { user: user.into(), digest: digest.as_ref().try_into().ok()? })
}

/// Base64 (RFC 4648, 4), with its padding and nothing beside it.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut output = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for byte in &text[..text.len() - padding] {
        bits = bits << 6 | u32::from(sextet(*byte)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            output.push((bits >> held) as u8);
        }
    }
    Some(output)
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_taken_apart() {
        let credential = read(&HeaderValue::from_static("Basic YWxhZGRpbjpvcGVuOnNlc2FtZQ==")).expect("a pair");
        assert_eq!(&*credential.user, "aladdin");
        let digest = ring::digest::digest(&ring::digest::SHA256, b"open:sesame");
        assert_eq!(credential.digest, digest.as_ref());
    }

    #[test]
    fn anything_else_is_nobody() {
        for text in
            ["Basic", "Basic ", "Bearer YTpi", "Basic YWI=", "Basic YTp", "Basic YT*i", "Basic ====", "Basic YTpi YTpi"]
        {
            assert!(read(&HeaderValue::from_static(text)).is_none(), "{text}");
        }
    }
}
