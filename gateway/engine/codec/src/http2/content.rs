//! Content of one stream that has arrived and was not taken yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Shorter pieces are copied: a slice would keep the whole buffer that it arrived in.
pub const SLICED: usize = 1024;

/// Pieces in order. Short ones that nobody takes grow together, so that a sender of tiny frames cannot make many.
#[derive(Debug, Default)]
pub struct Content {
    first: Bytes,
    rest: VecDeque<Bytes>,
    tail: BytesMut,
}

impl Content {
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.is_empty() && self.tail.is_empty()
    }

    pub fn push_copy(&mut self, data: &[u8]) {
        if self.is_empty() {
            self.first = Bytes::copy_from_slice(data);
        } else {
            self.tail.extend_from_slice(data);
        }
    }

    pub fn push(&mut self, data: Bytes) {
        if self.is_empty() {
            self.first = data;
            return;
        }
        if !self.tail.is_empty() {
            self.rest.push_back(self.tail.split().freeze());
        }
        self.rest.push_back(data);
    }

    /// The next piece; empty when there is none.
    pub fn take(&mut self) -> Bytes {
        if !self.first.is_empty() {
            return std::mem::take(&mut self.first);
        }
        match self.rest.pop_front() {
            Some(data) => data,
            None => std::mem::take(&mut self.tail).freeze(),
        }
    }

    /// How much is dropped.
    pub fn clear(&mut self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let length = self.first.len() + self.rest.iter().map(Bytes::len).sum::<usize>() + self.tail.len();
        *self = Self::default();
        length
    }
}
