//! Heads: the beginning of messages in both directions.

use std::task::{Context, Poll, ready};

use http::header::HeaderValue;
use http::{Method, StatusCode, Version};
use sekisho_codec::http1::{
    BodyDecoder, BodyEncoder, Framing, HeadLimits, ParsedRequest, ParsedResponse, write_informational, write_request,
    write_response,
};
use sekisho_codec::{RequestHead, ResponseHead, Scheme};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Http1;
use crate::{BodyKind, ResponseOptions, StreamError, StreamErrorKind};

impl<IO: AsyncRead + AsyncWrite + Unpin> Http1<IO> {
    /// The next request. `Closed` when the client closes between requests.
    pub fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
        scheme: Scheme,
    ) -> Poll<Result<ParsedRequest, StreamError>> {
        self.check_receiving()?;
        if !self.is_persistent() {
            return Poll::Ready(Err(StreamError::new(StreamErrorKind::Closed)));
        }
        self.response_started = false;
        loop {
            match self.reader.request(&mut self.input.buffer, limits, scheme) {
                Ok(Some(request)) => {
                    self.begin_receiving(&request);
                    return Poll::Ready(Ok(request));
                }
                Ok(None) => ready!(self.poll_more_head(cx))?,
                Err(error) => return Poll::Ready(Err(self.receive_failed(error.into()))),
            }
        }
    }

    /// The next response head to a `method` request. Informational ones come first, as they are; 101 ends HTTP here.
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        limits: &HeadLimits,
    ) -> Poll<Result<ParsedResponse, StreamError>> {
        self.check_receiving()?;
        loop {
            match self.reader.response(&mut self.input.buffer, method, limits) {
                Ok(Some(response)) => {
                    self.begin_content(&response);
                    return Poll::Ready(Ok(response));
                }
                Ok(None) => ready!(self.poll_more_head(cx))?,
                Err(error) => return Poll::Ready(Err(self.receive_failed(error.into()))),
            }
        }
    }

    pub(super) fn poll_more_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let untouched = self.input.buffer.is_empty();
        let kind = match ready!(self.poll_fill(cx)) {
            Ok(0) if untouched => StreamErrorKind::Closed,
            Ok(0) => StreamErrorKind::Truncated,
            Err(StreamError { kind: StreamErrorKind::Truncated }) if untouched => StreamErrorKind::Closed,
            Err(error) => return Poll::Ready(Err(error)),
            Ok(_) => return Poll::Ready(Ok(())),
        };
        Poll::Ready(Err(self.receive_failed(StreamError::new(kind))))
    }

    pub(super) fn begin_receiving(&mut self, request: &ParsedRequest) {
        self.decoder = BodyDecoder::new(request.framing);
        self.received = self.decoder.is_done();
        self.sent = false;
        self.keep_alive = request.keep_alive;
        self.peer_version = request.head.version;
        self.continue_owed = request.expect_continue;
    }

    fn begin_content(&mut self, response: &ParsedResponse) {
        let status = response.head.status;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            self.received = true;
            self.keep_alive = false;
        } else if !status.is_informational() {
            self.decoder = BodyDecoder::new(response.framing);
            self.received = self.decoder.is_done();
            self.keep_alive &= response.keep_alive;
        }
    }
}

impl<IO> Http1<IO> {
    /// Queues a request head; content of unknown length goes in chunks.
    pub fn start_request(
        &mut self,
        head: &RequestHead,
        kind: BodyKind,
        upgrade: Option<&HeaderValue>,
    ) -> Result<(), StreamError> {
        self.check_sending()?;
        let framing = match kind {
            BodyKind::Empty => Framing::None,
            BodyKind::Length(length) => Framing::Length(length),
            BodyKind::Unknown => Framing::Chunked,
        };
        write_request(head, &framing, upgrade, self.output.buffer());
        self.encoder = BodyEncoder::new(framing);
        self.discard = false;
        self.received = false;
        self.sent = false;
        if kind.is_empty() {
            self.finish();
        }
        Ok(())
    }

    /// Queues a response head. Answers to HEAD, 204 and 304 have no content, and a client of HTTP/1.0 gets content of
    /// unknown length by closing.
    pub fn start_response(
        &mut self,
        head: &ResponseHead,
        kind: BodyKind,
        options: &ResponseOptions<'_>,
    ) -> Result<(), StreamError> {
        self.check_sending()?;
        if std::mem::replace(&mut self.response_started, true) {
            return Err(StreamError::protocol("a second response was started"));
        }
        // The client may or may not send its content now: only closing tells what follows.
        let abandoned = std::mem::take(&mut self.continue_owed);
        let framing = response_framing(head.status, kind, options);
        self.keep_alive = self.keep_alive && options.keep_alive && !abandoned && framing != Framing::UntilClose;
        let (keep_alive, version) = (self.keep_alive, options.version);
        write_response(head, &framing, keep_alive, options.upgrade, version, self.output.buffer());
        self.discard = has_no_content(head.status, options.method);
        self.encoder = BodyEncoder::new(if self.discard { Framing::None } else { framing });
        self.sent = false;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.keep_alive = false;
            self.finish();
        } else if self.discard || kind.is_empty() {
            self.finish();
        }
        Ok(())
    }

    /// Queues an informational response (100 or 103); clients of HTTP/1.0 get none.
    pub fn send_informational(&mut self, head: &ResponseHead) {
        if self.response_started || self.peer_version == Version::HTTP_10 || self.send_failure.is_some() {
            return;
        }
        if head.status == StatusCode::CONTINUE {
            self.continue_owed = false;
        }
        write_informational(head, self.output.buffer());
    }
}

fn has_no_content(status: StatusCode, method: &Method) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

fn response_framing(status: StatusCode, kind: BodyKind, options: &ResponseOptions<'_>) -> Framing {
    let bodiless = has_no_content(status, options.method);
    match kind {
        // The length tells what GET would have got.
        BodyKind::Length(length) if !bodiless || !has_no_content(status, &Method::GET) => Framing::Length(length),
        _ if bodiless => Framing::None,
        BodyKind::Length(length) => Framing::Length(length),
        BodyKind::Empty => Framing::Length(0),
        BodyKind::Unknown if options.version == Version::HTTP_10 => Framing::UntilClose,
        BodyKind::Unknown => Framing::Chunked,
    }
}
