//! DNS messages, as far as asking for addresses needs them (RFC 1035), sans I/O.
//!
//! An answer counts only when its identifier and question are those that were asked; aliases are followed within it
//! alone, a bounded number of times, and records of other names are not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Aliases followed, and labels and pointers of one name.
const MAX_ALIASES: usize = 12;
const MAX_JUMPS: usize = 128;
const MAX_RECORDS: usize = 512;
const MAX_ADDRESSES: usize = 64;
/// A name server that has no answer does not say for how long; a clock that ran wild does not decide.
pub const MAX_TTL: u32 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }
}

const CNAME: u16 = 5;
const INTERNET: u16 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Perhaps none, and for how many seconds that holds; `None`: nobody said.
    Addresses(Vec<IpAddr>, Option<u32>),
    NoSuchName,
    /// The same question must be asked over TCP.
    Truncated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// Not an answer to the question: as if it had not come.
    NotOurs,
    Malformed,
    /// The server's response code.
    Failed(u8),
}

/// A question; `name` is one that [`crate::Host`] took.
pub fn question(id: u16, name: &str, kind: Kind) -> Vec<u8> {
    let mut message = Vec::with_capacity(name.len() + 18);
    message.extend_from_slice(&id.to_be_bytes());
    // Recursion desired; one question.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.code().to_be_bytes());
    message.extend_from_slice(&INTERNET.to_be_bytes());
    message
}

pub fn answer(message: &[u8], id: u16, name: &str, kind: Kind) -> Result<Answer, AnswerError> {
    let mut reader = Reader { message, at: 0 };
    let header = reader.take(12).ok_or(AnswerError::NotOurs)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let is_answer = header[2] & 0x80 != 0 && header[2] & 0x78 == 0;
    if word(0) != id || !is_answer || word(4) != 1 {
        return Err(AnswerError::NotOurs);
    }
    let asked = reader.name().ok_or(AnswerError::NotOurs)?;
    let kind_and_class = reader.take(4).ok_or(AnswerError::NotOurs)?;
    if asked != name || kind_and_class != [0, kind.code() as u8, 0, INTERNET as u8] {
        return Err(AnswerError::NotOurs);
    }
    if header[2] & 2 != 0 {
        return Ok(Answer::Truncated);
    }
    match header[3] & 0xf {
        0 => {}
        3 => return Ok(Answer::NoSuchName),
        code => return Err(AnswerError::Failed(code)),
    }
    let count = usize::from(word(6));
    if count > MAX_RECORDS {
        return Err(AnswerError::Malformed);
    }
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        records.push(reader.record(kind).ok_or(AnswerError::Malformed)?);
    }
    addresses(&records, name).ok_or(AnswerError::Malformed)
}

struct Record {
    owner: String,
    ttl: u32,
    data: Data,
}

enum Data {
    Address(IpAddr),
    Alias(String),
    Other,
}

/// The addresses of a name, by its aliases; `None` where they never end.
fn addresses(records: &[Record], name: &str) -> Option<Answer> {
    let mut owner = name;
    let mut ttl = MAX_TTL;
    for _ in 0..=MAX_ALIASES {
        let mut found = Vec::new();
        let mut alias = None;
        for record in records.iter().filter(|record| record.owner == owner) {
            match &record.data {
                Data::Address(address) => {
                    ttl = ttl.min(record.ttl);
                    if found.len() < MAX_ADDRESSES && !found.contains(address) {
                        found.push(*address);
                    }
                }
                Data::Alias(target) => {
                    ttl = ttl.min(record.ttl);
                    alias.get_or_insert(target.as_str());
                }
                Data::Other => {}
            }
        }
        match alias {
            Some(target) if found.is_empty() => owner = target,
            // A name with an alias has nothing else (RFC 1034, 3.6.2).
            Some(_) => return None,
            None if found.is_empty() => return Some(Answer::Addresses(found, None)),
            None => return Some(Answer::Addresses(found, Some(ttl))),
        }
    }
    None
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// In lower case. Pointers lead backwards only, so that they end.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut end = None;
        for _ in 0..MAX_JUMPS {
            let length = *self.message.get(at)?;
            match length {
                0 => {
                    self.at = end.unwrap_or(at + 1);
                    return Some(name);
                }
                1..=63 => {
                    let label = self.message.get(at + 1..at + 1 + usize::from(length))?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    if !label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.') {
                        return None;
                    }
                    name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                    if name.len() > 253 {
                        return None;
                    }
                    at += 1 + usize::from(length);
                }
                192.. => {
                    let low = *self.message.get(at + 1)?;
                    let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                    end.get_or_insert(at + 2);
                    if target >= at {
                        return None;
                    }
                    at = target;
                }
                _ => return None,
            }
        }
        None
    }

    fn record(&mut self, kind: Kind) -> Option<Record> {
        let owner = self.name()?;
        let code = self.u16()?;
        let class = self.u16()?;
        let ttl = self.take(4)?;
        let ttl = u32::from_be_bytes([ttl[0], ttl[1], ttl[2], ttl[3]]);
        let length = usize::from(self.u16()?);
        let start = self.at;
        let data = self.take(length)?;
        let data = match code {
            _ if class != INTERNET => Data::Other,
            CNAME => {
                let mut inside = Reader { message: self.message, at: start };
                let target = inside.name()?;
                if inside.at != start + length {
                    return None;
                }
                Data::Alias(target)
            }
            code if code == kind.code() => match kind {
                Kind::A => Data::Address(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))),
                Kind::Aaaa => Data::Address(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?))),
            },
            _ => Data::Other,
        };
        Some(Record { owner, ttl, data })
    }
}
