//! Integers with a prefix (RFC 7541, 5.1).

use bytes::{BufMut, BytesMut};

use super::HpackError;

/// Reads an integer that starts in the low `bits` bits of the byte at `at`, and moves `at` behind it.
#[inline]
pub fn read(block: &[u8], at: &mut usize, bits: u32) -> Result<usize, HpackError> {
    const CUT: HpackError = HpackError("an integer is cut off");
    let most = (1usize << bits) - 1;
    let first = usize::from(*block.get(*at).ok_or(CUT)?) & most;
    *at += 1;
    if first < most {
        return Ok(first);
    }
    let mut value = most;
    // Four further bytes reach 2^28: more than any index, size or length that is taken.
    for shift in [0, 7, 14, 21] {
        let byte = *block.get(*at).ok_or(CUT)?;
        *at += 1;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(HpackError("an integer is too large"))
}

/// Writes `value` in a prefix of `bits` bits, below the bits of `pattern`.
#[inline]
pub fn write(value: usize, bits: u32, pattern: u8, out: &mut BytesMut) {
    let most = (1usize << bits) - 1;
    if value < most {
        out.put_u8(pattern | value as u8);
        return;
    }
    out.put_u8(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.put_u8(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, C.1.
    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        for (value, bits, wire) in [(10, 5, &[10][..]), (1337, 5, &[31, 154, 10]), (42, 8, &[42])] {
            let mut out = BytesMut::new();
            write(value, bits, 0, &mut out);
            assert_eq!(&out[..], wire);
            let mut at = 0;
            assert_eq!(read(wire, &mut at, bits), Ok(value));
            assert_eq!(at, wire.len());
        }
    }

    #[test]
    fn every_size_survives_a_round_trip() {
        for bits in 4..=7 {
            for value in (0..2000).chain([16_383, 16_384, 1 << 20, (1 << 28) - 1]) {
                let mut out = BytesMut::new();
                write(value, bits, 0, &mut out);
                assert_eq!(read(&out, &mut 0, bits), Ok(value));
            }
        }
    }

    #[test]
    fn integers_that_are_cut_off_or_endless_are_refused() {
        for wire in [&[][..], &[0xff], &[0xff, 0x80], &[0xff, 0x80, 0x80, 0x80, 0x80, 0x00], &[0xff; 12]] {
            assert!(read(wire, &mut 0, 7).is_err(), "{wire:?}");
        }
    }
}
