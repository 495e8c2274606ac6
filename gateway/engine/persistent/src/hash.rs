//! A fast hash for keys that come from the table.
//!
//! Requests only look keys up, so they cannot make a map degenerate; a random seed keeps whoever writes
//! routes from choosing colliding ones.

use std::hash::{BuildHasher, Hasher, RandomState};

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Copy, Debug)]
pub struct FastHash {
    seed: u64,
}

impl Default for FastHash {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(MULTIPLIER) }
    }
}

impl BuildHasher for FastHash {
    type Hasher = FastHasher;

    fn build_hasher(&self) -> FastHasher {
        FastHasher { state: self.seed }
    }
}

pub struct FastHasher {
    state: u64,
}

impl FastHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        // The multiplier alone is public: the seeded state keeps the product unpredictable.
        let product = u128::from(self.state ^ word) * u128::from(MULTIPLIER ^ self.state.rotate_left(23) | 1);
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for FastHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(word.try_into().map_or(0, u64::from_le_bytes));
        }
        let rest = words.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    #[inline]
    fn write_u8(&mut self, _: u8) {
        // Only the terminator of a `str`, which `write` has covered with the length.
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}
