//! HTTP/1.0 and HTTP/1.1 on the wire (RFC 9112), sans I/O.
//!
//! Every message whose length two readers could see differently is refused rather than repaired.

mod body;
mod encode;
mod forward;
mod framing;
mod head;
mod list;
mod request;
mod response;
mod trailers;

pub use body::{BodyDecoder, BodyError, Decoded};
pub use encode::{BodyEncoder, EncodeError, write_informational, write_request, write_response};
pub use forward::{ForwardRequest, TargetForm};
pub use framing::Framing;
pub use head::{HeadError, HeadLimits, HeadReader};
pub use request::{ParsedRequest, parse_request};
pub use response::{ParsedResponse, parse_response};
