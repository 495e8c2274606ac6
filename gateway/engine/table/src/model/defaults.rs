//! Values of fields that a table leaves out.

pub(super) fn yes() -> bool {
    true
}

pub(super) fn five_seconds() -> u64 {
    5_000
}

pub(super) fn forbidden() -> u16 {
    403
}

pub(super) fn found() -> u16 {
    302
}

pub(super) fn one() -> u32 {
    1
}

pub(super) fn five() -> u32 {
    5
}

pub(super) fn retry_backoff() -> u64 {
    25
}
