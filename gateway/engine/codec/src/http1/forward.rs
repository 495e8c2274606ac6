//! Request heads as a forward proxy takes them (RFC 9110, 9.3.6; RFC 9112, 3.2.2 and 3.2.3).

use bytes::Bytes;
use http::Method;
use http::header::HeaderValue;

use super::head::Head;
use super::request::{self, TargetOf};
use super::{HeadError, ParsedRequest};
use crate::{Scheme, authority};

/// A request to a forward proxy. `request.head.authority` is where it is to go.
#[derive(Clone, Debug)]
pub struct ForwardRequest {
    pub request: ParsedRequest,
    pub form: TargetForm,
    /// The Host beside a target that names an authority itself.
    pub other_host: Option<HeaderValue>,
}

/// How the target named its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// CONNECT: host and port, and no content.
    Authority,
    Absolute(Scheme),
    /// Only the Host says where to.
    Origin,
}

pub(super) fn parse(head: Head<'_>) -> Result<ForwardRequest, HeadError> {
    let (request, other_host, form) = request::parse_with(head, Scheme::Http, target)?;
    if form == TargetForm::Authority && !request.framing.is_empty() {
        return Err(HeadError::Malformed("a CONNECT request has content"));
    }
    Ok(ForwardRequest { request, form, other_host })
}

fn target(text: &[u8], method: &Method) -> TargetOf<TargetForm> {
    if *method == Method::CONNECT {
        const INVALID: HeadError = HeadError::Malformed("the target of CONNECT is not a host and a port");
        let named = std::str::from_utf8(text).map_err(|_| INVALID)?;
        let (_, port) = authority::split(named).ok_or(INVALID)?;
        if port.is_none_or(|port| port == 0) {
            return Err(INVALID);
        }
        let named = HeaderValue::from_str(named).map_err(|_| INVALID)?;
        return Ok((Bytes::from_static(b"/"), Some(named), TargetForm::Authority));
    }
    let (origin, named) = request::target(text, method)?;
    let form = match named {
        None => TargetForm::Origin,
        Some(_) if text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"https:")) => {
            TargetForm::Absolute(Scheme::Https)
        }
        Some(_) => TargetForm::Absolute(Scheme::Http),
    };
    Ok((origin, named, form))
}
