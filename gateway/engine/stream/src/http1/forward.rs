//! Requests to a forward proxy.

use std::task::{Context, Poll, ready};

use sekisho_codec::http1::{ForwardRequest, HeadLimits};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Http1;
use crate::{StreamError, StreamErrorKind};

impl<IO: AsyncRead + AsyncWrite + Unpin> Http1<IO> {
    /// As [`Http1::poll_request`]. After CONNECT the connection is the tunnel's, from what follows the head on.
    pub fn poll_forward_request(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
    ) -> Poll<Result<ForwardRequest, StreamError>> {
        self.check_receiving()?;
        if !self.is_persistent() {
            return Poll::Ready(Err(StreamError::new(StreamErrorKind::Closed)));
        }
        self.response_started = false;
        loop {
            match self.reader.forward_request(&mut self.input.buffer, limits) {
                Ok(Some(forward)) => {
                    self.begin_receiving(&forward.request);
                    return Poll::Ready(Ok(forward));
                }
                Ok(None) => ready!(self.poll_more_head(cx))?,
                Err(error) => return Poll::Ready(Err(self.receive_failed(error.into()))),
            }
        }
    }
}
