//! Every `ClientHello` behind the first one.
//!
//! A server may ask for another (HelloRetryRequest, RFC 8446, 4.1.4), and takes the server name from that: a client that
//! names the allowed host first could name a third one then. So the client's records are followed for as long as a
//! `ClientHello` may stand among them: to the first that holds another message of the handshake, or what is encrypted.

use crate::hello::{CLIENT_HELLO, HANDSHAKE, Hello, HelloError, MAX_HELLO, client_hello};

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const APPLICATION_DATA: u8 = 23;
/// What two vectors of 16 bits and three of 8 can hold, and the fields between: no `ClientHello` is longer.
const LONGEST: usize = 132_000;
const HEADER: usize = 5;

/// Follows what a client sends behind its first `ClientHello`.
#[derive(Debug)]
pub struct LaterHellos {
    header: [u8; HEADER],
    header_read: usize,
    /// Bytes of the record that are still to come.
    left: usize,
    kind: u8,
    message: Vec<u8>,
    /// Encrypted records may come before another hello, which a server that asks for one passes over.
    early_data: bool,
    over: bool,
}

impl LaterHellos {
    pub fn after(first: &Hello) -> Self {
        let early_data = first.early_data;
        Self { header: [0; HEADER], header_read: 0, left: 0, kind: 0, message: Vec::new(), early_data, over: false }
    }

    /// No `ClientHello` can come any more that a server would look at.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes from the front of `bytes`; `None` when they are used up, or none can come any more.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Hello>, HelloError> {
        while !self.over && !bytes.is_empty() {
            if self.left == 0 {
                self.read_header(bytes)?;
                continue;
            }
            let wanted = if self.kind == HANDSHAKE { self.left.min(self.missing()?) } else { self.left };
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            *bytes = rest;
            self.left -= taken.len();
            if self.kind != HANDSHAKE {
                continue;
            }
            self.message.extend_from_slice(taken);
            if !self.is_hello() {
                self.over = true;
            } else if self.message.len() >= HEADER && self.missing()? == 0 {
                if self.left > 0 {
                    return Err(HelloError::Malformed);
                }
                let hello = client_hello(&self.message[4..]).ok_or(HelloError::Malformed)?;
                self.early_data |= hello.early_data;
                self.message.clear();
                return Ok(Some(hello));
            }
        }
        Ok(None)
    }

    fn read_header(&mut self, bytes: &mut &[u8]) -> Result<(), HelloError> {
        let (taken, rest) = bytes.split_at(bytes.len().min(HEADER - self.header_read));
        self.header[self.header_read..][..taken.len()].copy_from_slice(taken);
        self.header_read += taken.len();
        *bytes = rest;
        if self.header_read < HEADER {
            return Ok(());
        }
        let [kind, major, _, high, low] = self.header;
        (self.kind, self.left, self.header_read) = (kind, usize::from(u16::from_be_bytes([high, low])), 0);
        let is_apart = kind != HANDSHAKE && self.message.is_empty();
        match kind {
            _ if major != 3 => Err(HelloError::Malformed),
            HANDSHAKE if self.left > 0 => Ok(()),
            CHANGE_CIPHER_SPEC | ALERT if is_apart => Ok(()),
            APPLICATION_DATA if is_apart => {
                self.over = !self.early_data;
                Ok(())
            }
            // Among the records of one message, or of a kind that does not come here.
            _ => Err(HelloError::Malformed),
        }
    }

    /// What has come of a message is how a `ClientHello` begins. An encrypted message, of a session that is taken up again,
    /// begins with anything.
    fn is_hello(&self) -> bool {
        let length =
            |high: u8, middle: u8, low: u8| usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match self.message[..] {
            [kind, high, middle, low, major, ..] => {
                kind == CLIENT_HELLO && length(high, middle, low) <= LONGEST && major == 3
            }
            [kind, ..] => kind == CLIENT_HELLO,
            [] => true,
        }
    }

    /// Bytes that are wanted next: to tell what message it is, and then to its end.
    fn missing(&self) -> Result<usize, HelloError> {
        match self.message[..] {
            [_, high, middle, low, _, ..] => {
                let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                if length > MAX_HELLO {
                    return Err(HelloError::TooLarge);
                }
                (4 + length).checked_sub(self.message.len()).ok_or(HelloError::Malformed)
            }
            _ => Ok(HEADER - self.message.len()),
        }
    }
}
