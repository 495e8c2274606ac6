//! Reading a `ClientHello` before anything is decided, and keeping its bytes.
//!
//! A connection that passes through must reach its backend as the client sent it, so what is read here is kept.

use bytes::BytesMut;
use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{TlsError, TlsErrorKind};

/// A handshake message has at most 64 KiB here; records add a few bytes.
const MAX_HELLO_BYTES: usize = 68 * 1024;
const READ_BYTES: usize = 4 * 1024;

pub(crate) struct Hello {
    pub(crate) accepted: Accepted,
    pub(crate) stream: TcpStream,
    /// Everything that was read.
    pub(crate) bytes: BytesMut,
}

/// What a connection begins with.
pub(crate) enum First {
    Tls(Box<Hello>),
    Other { stream: TcpStream, bytes: BytesMut },
}

/// The first byte of a handshake's record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The caller bounds its time.
pub(crate) async fn read(stream: TcpStream) -> Result<Hello, TlsError> {
    read_from(stream, BytesMut::with_capacity(READ_BYTES)).await
}

/// The same where the client may speak anything else. The caller bounds its time.
pub(crate) async fn first(mut stream: TcpStream) -> Result<First, TlsError> {
    let mut bytes = BytesMut::with_capacity(READ_BYTES);
    match stream.read_buf(&mut bytes).await {
        Ok(0) => return Err(closed()),
        Ok(_) => {}
        Err(error) => return Err(TlsError::from_io(&error, "the client")),
    }
    if bytes[0] != HANDSHAKE {
        return Ok(First::Other { stream, bytes });
    }
    Ok(First::Tls(Box::new(read_from(stream, bytes).await?)))
}

/// `bytes` were read before.
async fn read_from(mut stream: TcpStream, mut bytes: BytesMut) -> Result<Hello, TlsError> {
    let mut acceptor = Acceptor::default();
    let mut seen = 0;
    loop {
        let mut fresh = &bytes[seen..];
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh).map_err(|error| TlsError::from_io(&error, "the client"))?;
        }
        seen = bytes.len();
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Hello { accepted, stream, bytes }),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut answer = Vec::new();
                // The handshake has failed whether or not the alert can still be delivered.
                if alert.write_all(&mut answer).is_ok() && stream.write_all(&answer).await.is_ok() {
                    stream.shutdown().await.ok();
                }
                return Err(TlsError::from_rustls(&error, "the client"));
            }
        }
        if seen >= MAX_HELLO_BYTES {
            return Err(TlsError::new(TlsErrorKind::Handshake, "the first message of the client is too large"));
        }
        bytes.reserve(READ_BYTES);
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return Err(closed()),
            Ok(_) => {}
            Err(error) => return Err(TlsError::from_io(&error, "the client")),
        }
    }
}

fn closed() -> TlsError {
    TlsError::new(TlsErrorKind::Closed, "the client closed the connection during the TLS handshake")
}
