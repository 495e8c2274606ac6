//! The static Huffman code (RFC 7541, 5.2 and appendix B).
//!
//! The code is canonical: codes of one length count up in the order of their symbols, so the lengths say everything and
//! the tables are made from them when this is compiled.

use bytes::{BufMut, BytesMut};

use super::HpackError;

/// The length in bits of each symbol's code; the last one is EOS.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, //
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, //
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, //
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, //
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const LONGEST: usize = 30;
/// Codes of up to this many bits are looked up at once; it covers most of what headers hold.
const SHORT: u32 = 8;

struct Tables {
    codes: [u32; 257],
    /// Symbols in the order of their codes.
    sorted: [u16; 257],
    /// For each length: its first code, the place of that code's symbol in `sorted`, and how many there are.
    first: [(u32, u16, u16); LONGEST + 1],
    /// By the next eight bits: the symbol and its length, or 0 where the code is longer.
    short: [(u8, u8); 1 << SHORT],
}

static TABLES: Tables = build();

const fn build() -> Tables {
    let mut tables =
        Tables { codes: [0; 257], sorted: [0; 257], first: [(0, 0, 0); LONGEST + 1], short: [(0, 0); 1 << SHORT] };
    let (mut code, mut place, mut length) = (0u32, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        tables.first[length] = (code, place, 0);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                tables.codes[symbol] = code;
                tables.sorted[place as usize] = symbol as u16;
                tables.first[length].2 += 1;
                if length <= SHORT as usize {
                    let (start, count) = ((code as usize) << (SHORT as usize - length), 1 << (SHORT as usize - length));
                    let mut entry = start;
                    while entry < start + count {
                        tables.short[entry] = (symbol as u8, length as u8);
                        entry += 1;
                    }
                }
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    tables
}

/// Appends what `input` stands for.
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    out.reserve(input.len() * 8 / 5 + 1);
    let mut rest = Bits::default();
    let (words, bytes) = input.as_chunks::<4>();
    for word in words {
        rest.push(u32::from_be_bytes(*word), 32);
        rest.take_whole(out)?;
    }
    for byte in bytes {
        rest.push(u32::from(*byte), 8);
        rest.take_whole(out)?;
    }
    rest.finish(out)
}

/// What of the input has not become symbols yet: the low `have` bits.
#[derive(Default)]
struct Bits {
    bits: u64,
    have: u32,
}

impl Bits {
    /// At most 29 bits are left from before: no code is longer.
    #[inline]
    fn push(&mut self, bits: u32, count: u32) {
        self.bits = (self.bits << count) | u64::from(bits);
        self.have += count;
    }

    #[inline]
    fn take_whole(&mut self, out: &mut Vec<u8>) -> Result<(), HpackError> {
        while self.have >= SHORT {
            let (symbol, length) = TABLES.short[(self.bits >> (self.have - SHORT)) as usize & 0xff];
            if length != 0 {
                out.push(symbol);
                self.have -= u32::from(length);
                continue;
            }
            match long(self.bits, self.have) {
                Some((256, _)) => return Err(HpackError("a string holds the symbol for its end")),
                Some((symbol, length)) => {
                    out.push(symbol as u8);
                    self.have -= length;
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Fewer than eight bits: whole codes, and then the first bits of EOS.
    fn finish(mut self, out: &mut Vec<u8>) -> Result<(), HpackError> {
        while (5..SHORT).contains(&self.have) {
            let padded = (self.bits << (SHORT - self.have)) as usize & 0xff | ((1 << (SHORT - self.have)) - 1);
            let (symbol, length) = TABLES.short[padded];
            if length == 0 || u32::from(length) > self.have {
                break;
            }
            out.push(symbol);
            self.have -= u32::from(length);
        }
        let padding = (1u64 << self.have) - 1;
        if self.have >= SHORT || self.bits & padding != padding {
            return Err(HpackError("the padding of a string is wrong"));
        }
        Ok(())
    }
}

/// The symbol at the top of `have` bits whose code is longer than [`SHORT`], with its length.
fn long(bits: u64, have: u32) -> Option<(u16, u32)> {
    (SHORT + 1..=have.min(LONGEST as u32)).find_map(|length| {
        let (first, place, count) = TABLES.first[length as usize];
        let code = (bits >> (have - length)) as u32 & ((1 << length) - 1);
        let offset = code.wrapping_sub(first);
        (offset < u32::from(count)).then(|| (TABLES.sorted[place as usize + offset as usize], length))
    })
}

/// How many bytes [`encode`] writes.
pub fn encoded_length(input: &[u8]) -> usize {
    input.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum::<usize>().div_ceil(8)
}

/// Appends the code of `input`.
pub fn encode(input: &[u8], out: &mut BytesMut) {
    let (mut bits, mut have) = (0u64, 0u32);
    for byte in input {
        let symbol = usize::from(*byte);
        let length = u32::from(LENGTHS[symbol]);
        bits = (bits << length) | u64::from(TABLES.codes[symbol]);
        have += length;
        while have >= 8 {
            have -= 8;
            out.put_u8((bits >> have) as u8);
        }
    }
    if have > 0 {
        out.put_u8((bits << (8 - have)) as u8 | (0xff >> have));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    fn encoded(input: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        encode(input, &mut out);
        assert_eq!(out.len(), encoded_length(input));
        out
    }

    #[test]
    fn codes_are_those_of_the_appendix() {
        for (symbol, code) in [(0, 0x1ff8), (b' ' as usize, 0x14), (b'z' as usize, 0x7b), (255, 0x03ff_ffee)] {
            assert_eq!(TABLES.codes[symbol], code, "{symbol}");
        }
        assert_eq!(TABLES.codes[256], 0x3fff_ffff);
    }

    #[test]
    fn every_byte_survives_a_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)).as_ref(), Ok(&all));
        for first in 0..=255u8 {
            for second in [0, b'0', b'a', b'Z', 200, 255] {
                assert_eq!(decoded(&encoded(&[first, second])), Ok(vec![first, second]));
            }
        }
        let mut random = fastrand::Rng::with_seed(7541);
        for _ in 0..2000 {
            let text: Vec<u8> = (0..random.usize(..60)).map(|_| random.u8(..)).collect();
            assert_eq!(decoded(&encoded(&text)), Ok(text));
        }
    }

    /// RFC 7541, 5.2: padding is shorter than a byte and made of EOS's first bits, and EOS itself is an error.
    #[test]
    fn wrong_padding_and_the_end_symbol_are_refused() {
        assert_eq!(decoded(&[0x1f]), Ok(b"a".to_vec()));
        for wire in [&[0x1e][..], &[0x18], &[0x1f, 0xff], &[0xff], &[0xff; 4], &[0x1f, 0xff, 0xff, 0xff, 0xff]] {
            assert!(decoded(wire).is_err(), "{wire:x?}");
        }
    }

    #[test]
    fn random_bytes_are_decoded_or_refused_within_bounds() {
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..20_000 {
            let wire: Vec<u8> = (0..random.usize(..24)).map(|_| random.u8(..)).collect();
            if let Ok(text) = decoded(&wire) {
                assert!(text.len() <= wire.len() * 8 / 5);
                assert_eq!(encoded(&text), wire);
            }
        }
    }
}
