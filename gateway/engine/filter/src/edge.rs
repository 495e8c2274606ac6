//! What every request meets at the edge, whatever its route: who the client is, and the names it may not forge.

pub mod forwarded;
pub mod request_id;
pub mod traceparent;
pub mod underscore;

/// The digits of `bytes` in lower case, of which there are two for each.
fn hexadecimal<const DIGITS: usize>(bytes: &[u8]) -> [u8; DIGITS] {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    let mut digits = [b'0'; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    digits
}
