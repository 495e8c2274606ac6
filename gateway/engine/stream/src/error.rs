//! The one error of this crate: what went wrong on a stream, in the terms that a proxy decides by.

use std::io;

use http::StatusCode;
use sekisho_codec::http1::{BodyError, EncodeError, HeadError};
use sekisho_codec::http2::{Failure, Reason};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    pub kind: StreamErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamErrorKind {
    /// The peer closed in good order before the first byte of a message.
    Closed,
    /// The peer cancelled the stream, or reset the connection.
    Reset,
    /// The peer closed in the middle of a message.
    Truncated,
    /// The peer, or our own caller, broke the protocol.
    Protocol(&'static str),
    /// The peer asked for something that is not offered.
    Unsupported(&'static str),
    UnsupportedVersion,
    HeadTooLarge,
    /// The peer says that it did not process the request: it can be sent again, whatever its method.
    Refused,
    Io(io::ErrorKind),
}

impl StreamError {
    pub const fn new(kind: StreamErrorKind) -> Self {
        Self { kind }
    }

    pub(crate) const fn protocol(text: &'static str) -> Self {
        Self { kind: StreamErrorKind::Protocol(text) }
    }

    pub(crate) fn from_io(error: &io::Error) -> Self {
        Self::new(match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                StreamErrorKind::Reset
            }
            // A TLS peer that left without saying goodbye.
            io::ErrorKind::UnexpectedEof => StreamErrorKind::Truncated,
            kind => StreamErrorKind::Io(kind),
        })
    }

    /// A stream of HTTP/2 that came to a bad end.
    pub(crate) fn from_failure(failure: Failure) -> Self {
        Self::new(match failure {
            Failure::Reset(Reason::REFUSED_STREAM) | Failure::NotProcessed => StreamErrorKind::Refused,
            Failure::Reset(_) | Failure::Cancelled | Failure::Lost => StreamErrorKind::Reset,
            Failure::Violation(text) => StreamErrorKind::Protocol(text),
        })
    }

    /// The status that a client gets for a request which was refused with this error.
    pub fn status(self) -> Option<StatusCode> {
        match self.kind {
            StreamErrorKind::Protocol(_) => Some(StatusCode::BAD_REQUEST),
            StreamErrorKind::HeadTooLarge => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            StreamErrorKind::Unsupported(_) => Some(StatusCode::NOT_IMPLEMENTED),
            StreamErrorKind::UnsupportedVersion => Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            StreamErrorKind::Closed
            | StreamErrorKind::Reset
            | StreamErrorKind::Truncated
            | StreamErrorKind::Refused
            | StreamErrorKind::Io(_) => None,
        }
    }

    /// A stable text for logs.
    pub fn text(self) -> &'static str {
        match self.kind {
            StreamErrorKind::Closed => "the peer closed the connection",
            StreamErrorKind::Reset => "the peer reset the stream",
            StreamErrorKind::Truncated => "the peer closed in the middle of a message",
            StreamErrorKind::Protocol(text) | StreamErrorKind::Unsupported(text) => text,
            StreamErrorKind::UnsupportedVersion => HeadError::UnsupportedVersion.text(),
            StreamErrorKind::HeadTooLarge => HeadError::TooLarge.text(),
            StreamErrorKind::Refused => "the peer did not process the request",
            StreamErrorKind::Io(_) => "the connection failed",
        }
    }
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            StreamErrorKind::Io(kind) => write!(formatter, "{}: {kind}", self.text()),
            _ => formatter.write_str(self.text()),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<HeadError> for StreamError {
    fn from(error: HeadError) -> Self {
        Self::new(match error {
            HeadError::Malformed(text) => StreamErrorKind::Protocol(text),
            HeadError::TooLarge => StreamErrorKind::HeadTooLarge,
            HeadError::UnsupportedVersion => StreamErrorKind::UnsupportedVersion,
            HeadError::Unsupported(text) => StreamErrorKind::Unsupported(text),
        })
    }
}

impl From<BodyError> for StreamError {
    fn from(error: BodyError) -> Self {
        Self::new(match error {
            BodyError::Malformed(text) => StreamErrorKind::Protocol(text),
            BodyError::Truncated => StreamErrorKind::Truncated,
        })
    }
}

impl From<EncodeError> for StreamError {
    fn from(error: EncodeError) -> Self {
        Self::protocol(error.text())
    }
}
