//! What is known about a message's content before it is sent.

use crate::http1::Framing;

/// How much content follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    Empty,
    Length(u64),
    Unknown,
}

impl BodyKind {
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Length(0))
    }
}

impl From<Framing> for BodyKind {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Empty,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked | Framing::UntilClose => Self::Unknown,
        }
    }
}
