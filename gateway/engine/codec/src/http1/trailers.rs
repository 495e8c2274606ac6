//! The trailer section after the last chunk (RFC 9112, 7.1.2).

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use httparse::Status;

use super::BodyError;
use crate::Headers;
use crate::fields::is_forbidden_in_trailers;

const MAX_TRAILERS: usize = 64;

/// Parses a complete section, its empty line included.
pub(super) fn parse(section: &Bytes) -> Result<Headers, BodyError> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let fields = match httparse::parse_headers(section, &mut slots) {
        Ok(Status::Complete((_, fields))) => fields,
        Ok(Status::Partial) => return Err(BodyError::Malformed("a trailer field is malformed")),
        Err(httparse::Error::TooManyHeaders) => return Err(BodyError::Malformed("there are too many trailer fields")),
        Err(_) => return Err(BodyError::Malformed("a trailer field is malformed")),
    };
    let mut trailers = Headers::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| BodyError::Malformed("a trailer field is malformed"))?;
        if is_forbidden_in_trailers(&name) {
            return Err(BodyError::Malformed("a trailer field must not come after the content"));
        }
        let value = HeaderValue::from_maybe_shared(section.slice_ref(field.value))
            .map_err(|_| BodyError::Malformed("a trailer field is malformed"))?;
        trailers.append(name, value);
    }
    Ok(trailers)
}
