//! Buffers that idle connections gave back, a few for each thread: an idle connection holds none, and a busy worker keeps
//! using the same warm memory.

use std::cell::RefCell;

use bytes::BytesMut;

const MOST: usize = 32;
const LARGEST: usize = 64 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, with or without capacity.
pub(crate) fn take() -> BytesMut {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub(crate) fn give_back(mut buffer: BytesMut) {
    if buffer.capacity() == 0 || buffer.capacity() > LARGEST {
        return;
    }
    buffer.clear();
    // Where nobody else holds a part of it, its next user begins where this one did, in memory that is still cached.
    let _ = buffer.try_reclaim(buffer.capacity() + 1);
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < MOST {
            spare.push(buffer);
        }
    });
}
