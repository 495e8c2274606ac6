//! One pass over the field lines: the end-to-end ones are kept, and what the others say is noted.
//!
//! Fields that mean something on this connection alone (RFC 9110, 7.6.1), and those that delimit the content, never get
//! into the header list.

use std::ops::Range;

use http::Version;
use http::header::HeaderValue;

use super::HeadError;
use super::head::Head;
use crate::Headers;
use crate::fields::{content_length, elements, holds_control};
use crate::headers::{Lent, Line, Text};

/// Longer names are no names for the rest of the program.
const LONGEST_NAME: usize = u16::MAX as usize;

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// What the fields of a head said. Ranges are of the head.
#[derive(Debug, Default)]
pub(super) struct FieldList {
    pub host: Option<Range<usize>>,
    pub content_length: Option<u64>,
    pub chunked: bool,
    pub close: bool,
    pub keep_alive: bool,
    pub expect_continue: bool,
    upgrade_named: bool,
    upgrade: Option<Range<usize>>,
    te_trailers: bool,
    /// Values of `Connection` that name other fields.
    naming: Vec<Range<usize>>,
}

impl FieldList {
    /// Reads the fields of a head: brings their names to lower case there, and notes the lines that go on.
    pub fn read(head: &mut Head<'_>) -> Result<Self, HeadError> {
        let mut list = Self::default();
        for ends in head.line_ends[..=head.fields()].windows(2) {
            let line = ends[0] as usize..ends[1] as usize;
            let Some(name_length) = lower_name(&mut head.text.bytes_mut()[line.clone()]) else {
                return Err(head.bad_field());
            };
            if holds_control(&head.text.bytes()[line.start + name_length + 1..line.end - 2]) {
                return Err(head.bad_field());
            }
            list.add(&mut head.text, line, name_length)?;
        }
        if list.chunked && list.content_length.is_some() {
            return Err(HeadError::Malformed("both Transfer-Encoding and Content-Length are given"));
        }
        Ok(list)
    }

    /// The fields that go on. Comes last: it takes the head.
    pub fn into_headers(self, mut head: Lent) -> Headers {
        for value in self.naming {
            let options = head.bytes()[value].to_vec();
            for option in elements(&options) {
                head.retain_names(|name| !name.eq_ignore_ascii_case(option));
            }
        }
        let mut headers = Headers::from_text(head);
        if self.te_trailers {
            headers.append(http::header::TE, TRAILERS);
        }
        headers
    }

    /// Whether the connection is to be kept after this message (RFC 9112, 9.3).
    pub fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (version != Version::HTTP_10 || self.keep_alive)
    }

    /// The protocol that the sender asks to switch to, or switched to.
    ///
    /// Switching to HTTP/2 in the middle of a connection is never passed on: behind a gateway it is a way around it.
    pub fn take_upgrade(&mut self, head: &[u8]) -> Option<HeaderValue> {
        let upgrade = &head[self.upgrade.take().filter(|_| self.upgrade_named)?];
        let to_http2 =
            elements(upgrade).any(|name| name.eq_ignore_ascii_case(b"h2c") || name.eq_ignore_ascii_case(b"h2"));
        if to_http2 { None } else { HeaderValue::from_bytes(upgrade).ok() }
    }

    fn add(&mut self, head: &mut Text, line: Range<usize>, name_length: usize) -> Result<(), HeadError> {
        let bytes = head.bytes();
        let name = line.start..line.start + name_length;
        let place = trimmed(bytes, name.end + 1..line.end - 2);
        let value = &bytes[place.clone()];
        match &bytes[name.clone()] {
            b"host" => {
                if self.host.replace(place).is_some() {
                    return Err(HeadError::Malformed("more than one Host is given"));
                }
            }
            b"content-length" => self.add_content_length(value)?,
            b"transfer-encoding" => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError::Malformed("the Transfer-Encoding is not exactly chunked"));
                }
                self.chunked = true;
            }
            b"connection" => self.add_connection(value, place),
            b"upgrade" => {
                self.upgrade.get_or_insert(place);
            }
            b"te" => self.te_trailers |= elements(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")),
            b"expect" if value.eq_ignore_ascii_case(b"100-continue") => self.expect_continue = true,
            b"keep-alive" | b"proxy-connection" | b"http2-settings" => {}
            // The line reads as it should: its name, a colon, one space, and nothing after its value.
            _ if place == (name.end + 2..line.end - 2) && bytes[name.end + 1] == b' ' => {
                head.push(Line::received(line, name_length))
            }
            _ => head.push_respelled(name, place),
        }
        Ok(())
    }

    fn add_content_length(&mut self, text: &[u8]) -> Result<(), HeadError> {
        let length = content_length(text).ok_or(HeadError::Malformed("the Content-Length is not a number"))?;
        match self.content_length.replace(length) {
            Some(other) if other != length => Err(HeadError::Malformed("several Content-Length values differ")),
            Some(_) | None => Ok(()),
        }
    }

    fn add_connection(&mut self, text: &[u8], place: Range<usize>) {
        if text.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return;
        }
        let mut names_other_fields = false;
        for option in elements(text) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_named = true;
            } else if !option.eq_ignore_ascii_case(b"te") {
                names_other_fields = true;
            }
        }
        if names_other_fields {
            self.naming.push(place);
        }
    }
}

/// A field value's place without the white space around it (RFC 9110, 5.5).
fn trimmed(head: &[u8], place: Range<usize>) -> Range<usize> {
    let is_space = |position: usize| matches!(head[position], b' ' | b'\t');
    let Range { mut start, mut end } = place;
    while start < end && is_space(start) {
        start += 1;
    }
    while end > start && is_space(end - 1) {
        end -= 1;
    }
    start..end
}

/// Brings the name at the front of a line to lower case; its length when a colon follows it.
fn lower_name(line: &mut [u8]) -> Option<usize> {
    for (position, byte) in line.iter_mut().enumerate() {
        let lower = LOWER_TOKEN[usize::from(*byte)];
        if lower == 0 {
            return (*byte == b':' && position > 0 && position <= LONGEST_NAME).then_some(position);
        }
        *byte = lower;
    }
    None
}

/// The lower case of every byte that a token may hold (RFC 9110, 5.6.2), and 0 for the others.
const LOWER_TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let marks = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < marks.len() {
        table[marks[index] as usize] = marks[index];
        index += 1;
    }
    let mut byte = 0;
    while byte < 128u8 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};
