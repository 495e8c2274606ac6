//! The gateway's own answers: errors, redirects and preflights. Errors become responses here alone.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use sekisho_codec::{Headers, ResponseHead};
use sekisho_stream::BodyKind;

use super::{GRPC_MESSAGE, GRPC_STATUS};
use crate::reason::Reason;

/// An answer made here.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub reason: Reason,
    pub headers: Headers,
    /// Content that somebody else made; otherwise it is the reason in words.
    pub content: Option<Bytes>,
    /// More than those words, for whoever asked.
    pub told: Option<Box<str>>,
}

impl Reply {
    pub fn new(status: StatusCode, reason: Reason) -> Self {
        Self { status, reason, headers: Headers::default(), content: None, told: None }
    }

    /// The message to send, with its date (RFC 9110, section 6.6.1: here the gateway is the origin). A gRPC client gets
    /// its status in a head without content, as the gRPC protocol has it ("Trailers-Only"), and HTTP status 200.
    pub fn message(mut self, method: &Method, grpc: bool, now: SystemTime) -> Message {
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now)) {
            self.headers.set(DATE, date);
        }
        // A redirection to a page for people is nothing that a gRPC client could follow.
        if grpc && (self.status.as_u16() >= 400 || self.reason == Reason::ExternalAuthorizationDenied) {
            let code = grpc_code(self.status, self.reason);
            self.headers.set(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            self.headers.set(GRPC_STATUS, HeaderValue::from(code));
            let words = self.told.as_deref().map(grpc_message);
            self.headers.set(GRPC_MESSAGE, words.unwrap_or(HeaderValue::from_static(self.reason.summary())));
            let head = ResponseHead { status: StatusCode::OK, headers: self.headers };
            return Message { head, body: Bytes::new(), kind: BodyKind::Empty, grpc_status: Some(code) };
        }
        if let Some(content) = self.content {
            let kind = BodyKind::Length(content.len() as u64);
            let body = if *method == Method::HEAD { Bytes::new() } else { content };
            let head = ResponseHead { status: self.status, headers: self.headers };
            return Message { head, body, kind, grpc_status: None };
        }
        let summary = self.reason.summary();
        if summary.is_empty() || self.status.as_u16() < 400 {
            let head = ResponseHead { status: self.status, headers: self.headers };
            return Message { head, body: Bytes::new(), kind: BodyKind::Length(0), grpc_status: None };
        }
        let body = match self.told {
            Some(told) => Bytes::from(format!("{told}\n")),
            None => Bytes::from(format!("{}: {summary}\n", self.reason.code())),
        };
        self.headers.set(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        self.headers.set(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
        let head = ResponseHead { status: self.status, headers: self.headers };
        let kind = BodyKind::Length(body.len() as u64);
        let body = if *method == Method::HEAD { Bytes::new() } else { body };
        Message { head, body, kind, grpc_status: None }
    }
}

/// An answer ready to be sent.
#[derive(Debug)]
pub struct Message {
    pub head: ResponseHead,
    pub body: Bytes,
    pub kind: BodyKind,
    pub grpc_status: Option<u16>,
}

/// gRPC's status for an error of the gateway's own (field "Status codes and their use in gRPC").
fn grpc_code(status: StatusCode, reason: Reason) -> u16 {
    const DEADLINE_EXCEEDED: u16 = 4;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match (reason, status.as_u16()) {
        (Reason::RouteNotFound, _) => UNIMPLEMENTED,
        // Whatever status the service chose.
        (Reason::ExternalAuthorizationDenied | Reason::ExternalAuthorizationFailed, _) => PERMISSION_DENIED,
        (_, 401) => UNAUTHENTICATED,
        (_, 403) => PERMISSION_DENIED,
        (_, 504 | 408) => DEADLINE_EXCEEDED,
        (_, 431 | 413) => RESOURCE_EXHAUSTED,
        (_, 400) => INTERNAL,
        _ => UNAVAILABLE,
    }
}

/// As the gRPC protocol encodes `Status-Message`: what is no printable ASCII, and `%`, by its bytes in hexadecimal.
fn grpc_message(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    // Printable ASCII alone can stand in a header.
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn every_answer_has_a_date() {
        let redirect = Reply::new(StatusCode::FOUND, Reason::Redirect);
        for (reply, grpc) in [
            (redirect, false),
            (Reply::new(StatusCode::NOT_FOUND, Reason::RouteNotFound), false),
            (Reply::new(StatusCode::NOT_FOUND, Reason::RouteNotFound), true),
        ] {
            let message = reply.message(&Method::GET, grpc, NOW);
            assert_eq!(message.head.headers.get(&DATE).expect("a date"), "Thu, 01 Jan 1970 00:00:00 GMT");
        }
    }

    #[test]
    fn a_grpc_client_gets_a_grpc_status_in_one_head() {
        for (status, reason, want) in [
            (404, Reason::RouteNotFound, "12"),
            (500, Reason::BackendNotFound, "14"),
            (503, Reason::NoHealthyUpstream, "14"),
            (504, Reason::RequestTimeout, "4"),
            (403, Reason::AuthorizationDenied, "7"),
            (403, Reason::AuthorizationUnavailable, "7"),
            (302, Reason::ExternalAuthorizationDenied, "7"),
            (503, Reason::ExternalAuthorizationFailed, "7"),
            (403, Reason::TokenAudience, "7"),
            (401, Reason::TokenExpired, "16"),
        ] {
            let status = StatusCode::from_u16(status).expect("status");
            let message = Reply::new(status, reason).message(&Method::POST, true, NOW);
            assert_eq!(message.head.status, StatusCode::OK);
            assert_eq!(message.head.headers.get(&GRPC_STATUS).expect("status"), want);
            assert!(message.body.is_empty());
        }
    }

    #[test]
    fn what_is_told_beyond_the_reason_reaches_grpc_clients_as_well() {
        let denied = || {
            let told = Some("egress_denied: ask #sécurité, 100%".into());
            Reply { told, ..Reply::new(StatusCode::FORBIDDEN, Reason::EgressDenied) }
        };
        let message = denied().message(&Method::GET, false, NOW);
        assert_eq!(message.body, "egress_denied: ask #sécurité, 100%\n".as_bytes());
        let message = denied().message(&Method::POST, true, NOW);
        let told = message.head.headers.get(&GRPC_MESSAGE).expect("a message");
        assert_eq!(told, "egress_denied: ask #s%C3%A9curit%C3%A9, 100%25");
        assert!(message.body.is_empty());
    }

    #[test]
    fn an_error_says_its_code_and_a_head_request_gets_no_content() {
        let message = Reply::new(StatusCode::NOT_FOUND, Reason::RouteNotFound).message(&Method::GET, false, NOW);
        assert!(message.body.starts_with(b"route_not_found: "));
        let head = Reply::new(StatusCode::NOT_FOUND, Reason::RouteNotFound).message(&Method::HEAD, false, NOW);
        assert!(head.body.is_empty());
        assert!(matches!(head.kind, BodyKind::Length(length) if length == message.body.len() as u64));
    }
}
