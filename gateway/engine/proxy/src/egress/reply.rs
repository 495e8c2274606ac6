//! What a client is told: the reason, the policy it is under, and whom to ask; of others' policies nothing.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE};
use http::{Method, StatusCode, Version};
use sekisho_codec::{Headers, Piece, ResponseHead};
use sekisho_stream::{BodyKind, Downstream, Http1, ResponseOptions, StreamError};
use sekisho_tls::Transport;

use super::open::Refused;
use super::record::Record;
use crate::reason::Reason;

pub fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::EgressCredentialsRequired => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        Reason::EgressNameInvalid | Reason::RequestMalformed => StatusCode::BAD_REQUEST,
        Reason::EgressNameMismatch => StatusCode::MISDIRECTED_REQUEST,
        Reason::EgressNameUnresolved | Reason::EgressResolverUntrusted | Reason::UpstreamConnectFailed => {
            StatusCode::BAD_GATEWAY
        }
        Reason::EgressLimit => StatusCode::TOO_MANY_REQUESTS,
        Reason::Overload => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    }
}

/// The error of RFC 9209 that comes closest.
fn proxy_error(reason: Reason) -> &'static str {
    match reason {
        Reason::EgressNameUnresolved | Reason::EgressResolverUntrusted => "dns_error",
        Reason::UpstreamConnectFailed => "connection_refused",
        Reason::EgressAddressProhibited => "destination_ip_prohibited",
        Reason::EgressLimit | Reason::Overload => "connection_limit_reached",
        Reason::EgressNameInvalid | Reason::RequestMalformed => "http_request_error",
        _ => "http_request_denied",
    }
}

/// What is known of a denial.
pub struct Told<'a> {
    pub reason: Reason,
    pub destination: String,
    pub policy: Option<&'a str>,
    pub contact: &'a str,
}

impl<'a> Told<'a> {
    /// Records a denial, and tells of it.
    pub fn of(record: &'a mut Record, refused: &'a Refused) -> Self {
        record.denied(refused.reason);
        let destination = record.host.as_deref().map(|host| format!("{host}:{}", record.port)).unwrap_or_default();
        Told { reason: refused.reason, destination, policy: record.policy(), contact: &refused.contact }
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}: {}", self.reason.code(), self.reason.summary());
        if !self.destination.is_empty() {
            text += &format!(" ({})", self.destination);
        }
        if let Some(policy) = self.policy {
            text += &format!("; egress policy {policy}");
        }
        if !self.contact.is_empty() {
            text += &format!("; ask {}", self.contact);
        }
        text.push('\n');
        text
    }
}

/// Queues the answer.
pub fn write(
    down: &mut Downstream<Transport>,
    method: &Method,
    version: Version,
    keep_alive: bool,
    told: &Told<'_>,
) -> Result<(), StreamError> {
    // An answer to CONNECT that is no success has content like any other.
    let method = if *method == Method::CONNECT { &Method::GET } else { method };
    let options = ResponseOptions { method, version, keep_alive, upgrade: None };
    let (head, body) = answer(status(told.reason), told);
    down.start_response(&head, BodyKind::Length(body.len() as u64), &options)?;
    if !down.send_done() {
        down.send(Piece::Data(body))?;
        down.finish();
    }
    Ok(())
}

/// The answer to what could not be read as a request.
pub fn write_unreadable(
    connection: &mut Http1<Transport>,
    status: StatusCode,
    told: &Told<'_>,
) -> Result<(), StreamError> {
    let version = Version::HTTP_11;
    let options = ResponseOptions { method: &Method::GET, version, keep_alive: false, upgrade: None };
    let (head, body) = answer(status, told);
    connection.start_response(&head, BodyKind::Length(body.len() as u64), &options)?;
    connection.send(Piece::Data(body))?;
    connection.finish();
    Ok(())
}

fn answer(status: StatusCode, told: &Told<'_>) -> (ResponseHead, Bytes) {
    let mut headers = Headers::default();
    headers.set(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let proxy_status = format!("sekisho; error={}; details=\"{}\"", proxy_error(told.reason), told.reason.code());
    if let Ok(value) = HeaderValue::try_from(proxy_status) {
        headers.set(HeaderName::from_static("proxy-status"), value);
    }
    if told.reason == Reason::EgressCredentialsRequired {
        headers.set(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"sekisho\", charset=\"UTF-8\""));
    }
    (ResponseHead { status, headers }, Bytes::from(told.text()))
}
