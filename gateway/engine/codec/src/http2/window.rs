//! Flow control (RFC 9113, 5.2 and 6.9).

/// What the peer may still send, and what it will be given back. The peer hears of room only when there is much of it.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWindow {
    /// Below zero while a peer has not heard that windows are smaller than it thought.
    available: i64,
    consumed: u32,
    size: u32,
}

impl ReceiveWindow {
    /// `available`: what the peer believes; `size`: what it is given in the long run.
    pub fn new(available: u32, size: u32) -> Self {
        Self { available: i64::from(available), consumed: 0, size }
    }

    /// False when the peer sent more than it was allowed to.
    #[inline]
    pub fn receive(&mut self, length: usize) -> bool {
        self.available -= length as i64;
        self.available >= 0
    }

    /// Content was taken; how much the peer should hear of now, or 0.
    #[inline]
    pub fn consume(&mut self, length: usize) -> u32 {
        self.consumed += length as u32;
        if self.consumed < (self.size / 2).max(1) {
            return 0;
        }
        self.available += i64::from(self.consumed);
        std::mem::take(&mut self.consumed)
    }

    pub fn shrink(&mut self, by: u32) {
        self.available -= i64::from(by);
    }
}

/// What we may send. It falls below zero when the peer shrinks its initial window (RFC 9113, 6.9.2).
#[derive(Clone, Copy, Debug)]
pub struct SendWindow(i64);

impl SendWindow {
    pub fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    #[inline]
    pub fn room(self) -> usize {
        self.0.max(0) as usize
    }

    #[inline]
    pub fn take(&mut self, length: usize) {
        self.0 -= length as i64;
    }

    /// False when the window grew too large.
    pub fn grow(&mut self, by: i64) -> bool {
        self.0 += by;
        self.0 <= i64::from(super::settings::MAX_WINDOW)
    }
}
