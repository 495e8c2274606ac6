//! Collections of which many versions exist side by side and share what is equal.
//!
//! Owns what makes a change of one value among thousands cost that value: a version is cloned by its pieces, and only the
//! piece that is changed is copied. Looking something up costs what it costs in a flat collection. Knows nothing of
//! tables or routes.

#![forbid(unsafe_code)]

mod arena;
mod hash;
mod keyed;
mod slots;

pub use arena::Arena;
pub use hash::FastHash;
pub use keyed::{Keyed, KeyedMap};
pub use slots::Slots;
