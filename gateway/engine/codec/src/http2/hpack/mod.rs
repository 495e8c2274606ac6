//! HPACK: header lists as short blocks (RFC 7541).
//!
//! Owns both tables and both directions. A decoder's table is bounded by what we announce, an encoder's by what the peer
//! announces and by our own bound. Nothing here decides whether a message makes sense: a field that HTTP does not allow
//! is handed on as [`Field::Malformed`], because it takes its place in the table all the same.

mod decode;
mod dynamic;
mod encode;
mod field;
pub mod huffman;
mod integer;
mod known;
mod static_table;

pub use decode::Decoder;
pub use encode::Encoder;
pub use field::{Class, Field, Name};

/// The size that a table has until somebody says something else (RFC 9113, 6.5.2).
pub const DEFAULT_TABLE_SIZE: usize = 4096;

/// A block that no encoder writes: the connection's two tables have parted, and it must end (RFC 7541, 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HpackError(pub &'static str);
