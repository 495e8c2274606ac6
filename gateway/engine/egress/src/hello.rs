//! What a `ClientHello` says of where it goes (RFC 8446, 4.1.2; RFC 6066, 3), read from the front of a stream.
//!
//! Two readers must not see two different names: what is not exactly one host name, in a message that is whole and says
//! everything once, is refused.

pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
/// Encrypted Client Hello (RFC 9849); also what clients send to keep others from telling (GREASE).
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
const EARLY_DATA: u16 = 42;
const MAX_RECORD: usize = 1 << 14;
pub(crate) const MAX_HELLO: usize = 1 << 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Lower case, as it was sent otherwise.
    pub server_name: Option<Box<str>>,
    /// There may be another name, encrypted.
    pub encrypted: bool,
    /// Data may follow before the server has answered (RFC 8446, 4.2.10).
    pub early_data: bool,
    /// Bytes of the stream until the end of the record that it ends in.
    pub end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// The stream does not begin with TLS.
    NotTls,
    Malformed,
    TooLarge,
}

/// `None` when more must be read first.
pub fn read(stream: &[u8]) -> Result<Option<Hello>, HelloError> {
    let mut message = Vec::new();
    let mut rest = stream;
    loop {
        let first = rest.first().copied();
        if first.is_some_and(|kind| kind != HANDSHAKE) || rest.get(1).is_some_and(|major| *major != 3) {
            return Err(if message.is_empty() { HelloError::NotTls } else { HelloError::Malformed });
        }
        let [_, _, _, high, low, ..] = rest else { return Ok(None) };
        let in_record = usize::from(u16::from_be_bytes([*high, *low]));
        if in_record == 0 || in_record > MAX_RECORD {
            return Err(HelloError::Malformed);
        }
        let body = &rest[5..];
        message.extend_from_slice(&body[..body.len().min(in_record)]);
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(HelloError::Malformed);
        }
        if let [_, a, b, c, ..] = message[..] {
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if length > MAX_HELLO {
                return Err(HelloError::TooLarge);
            }
            if message.len() > 4 + length {
                // Something follows in the same flight: no client does that before it was answered.
                return Err(HelloError::Malformed);
            }
            if message.len() == 4 + length {
                let hello = client_hello(&message[4..]).ok_or(HelloError::Malformed)?;
                return Ok(Some(Hello { end: stream.len() - body.len() + in_record, ..hello }));
            }
        }
        if body.len() < in_record {
            return Ok(None);
        }
        rest = &body[in_record..];
    }
}

/// The message without its header; where it ends is for the caller to say.
pub(crate) fn client_hello(message: &[u8]) -> Option<Hello> {
    let mut reader = Reader(message);
    reader.take(2 + 32)?;
    reader.vector8()?;
    reader.vector16()?;
    reader.vector8()?;
    let mut hello = Hello { server_name: None, encrypted: false, early_data: false, end: 0 };
    if reader.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(reader.vector16()?);
    if !reader.0.is_empty() {
        return None;
    }
    let mut seen = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vector16()?;
        if seen.contains(&kind) {
            return None;
        }
        seen.push(kind);
        match kind {
            SERVER_NAME => hello.server_name = Some(server_name(data)?),
            ENCRYPTED_CLIENT_HELLO => hello.encrypted = true,
            EARLY_DATA => hello.early_data = true,
            _ => {}
        }
    }
    Some(hello)
}

/// Exactly one name, of the one type there is.
fn server_name(data: &[u8]) -> Option<Box<str>> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vector16()?);
    if !outer.0.is_empty() || list.take(1)? != [0] {
        return None;
    }
    let name = list.vector16()?;
    if !list.0.is_empty() || name.is_empty() {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    name.is_ascii().then(|| name.to_ascii_lowercase().into())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = *self.take(1)?.first()?;
        self.take(length.into())
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}
