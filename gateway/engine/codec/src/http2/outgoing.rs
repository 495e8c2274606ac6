//! What waits to be written: small things gathered in one buffer, large content as it is.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Content of at least this size is queued instead of copied.
const LARGE: usize = 4 * 1024;

#[derive(Debug, Default)]
pub struct Outgoing {
    segments: VecDeque<Bytes>,
    segment_bytes: usize,
    tail: BytesMut,
}

impl Outgoing {
    #[inline]
    pub fn len(&self) -> usize {
        self.segment_bytes + self.tail.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where frames are written. Its memory can be lent and taken back while nothing waits.
    #[inline]
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    pub fn push(&mut self, content: Bytes) {
        if content.len() < LARGE {
            self.tail.extend_from_slice(&content);
            return;
        }
        if !self.tail.is_empty() {
            let before = self.tail.split().freeze();
            self.push_segment(before);
        }
        self.push_segment(content);
    }

    fn push_segment(&mut self, segment: Bytes) {
        self.segment_bytes += segment.len();
        self.segments.push_back(segment);
    }

    /// Fills `slices` with what comes first; how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.segments.iter().map(|segment| &segment[..]).chain([&self.tail[..]]);
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        count
    }

    /// `count` bytes have been written.
    pub fn advance(&mut self, count: usize) {
        let mut rest = count;
        while let Some(front) = self.segments.front_mut() {
            let step = rest.min(front.len());
            front.advance(step);
            self.segment_bytes -= step;
            rest -= step;
            if !front.is_empty() {
                return;
            }
            self.segments.pop_front();
        }
        self.tail.advance(rest);
    }

    pub fn clear(&mut self) {
        self.segments.clear();
        self.segment_bytes = 0;
        self.tail.clear();
    }
}
