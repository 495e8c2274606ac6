//! Request targets in origin form: one spelling for one path (RFC 3986, 6.2.2).
//!
//! Dot segments are resolved, runs of slashes merged, escaped unreserved characters decoded, and the hexadecimal digits
//! of the other escapes upper-cased. What two servers could read differently is refused: control bytes, `%00`, broken
//! escapes, fragments, and a segment that would turn into a dot segment for a server which takes `%2F`, `%5C` or a
//! backslash as a separator, or which drops path parameters. The query is checked and left alone.

use bytes::{Bytes, BytesMut};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Normalized {
    Unchanged,
    Changed(Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetError(pub &'static str);

impl std::fmt::Display for TargetError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for TargetError {}

/// Brings `target` (path and query) to its one spelling.
pub fn normalize(target: &[u8]) -> Result<Normalized, TargetError> {
    if target.first() != Some(&b'/') {
        return Err(TargetError("the request target is not an absolute path"));
    }
    let (path_end, plain) = survey(target)?;
    if plain {
        return Ok(Normalized::Unchanged);
    }
    let (path, query) = target.split_at(path_end);
    let mut output = rebuild(path, target.len())?;
    output.extend_from_slice(query);
    if output == target { Ok(Normalized::Unchanged) } else { Ok(Normalized::Changed(output.freeze())) }
}

/// Where the path ends, and whether nothing in it can need work.
fn survey(target: &[u8]) -> Result<(usize, bool), TargetError> {
    let mut plain = true;
    let mut previous = 0u8;
    let mut path_end = target.len();
    for (index, &byte) in target.iter().enumerate() {
        match CLASS[usize::from(byte)] {
            Class::Plain => {}
            Class::Slash => plain &= previous != b'/',
            Class::Dot => plain &= previous != b'/',
            Class::Special => plain = false,
            Class::Query => {
                path_end = index;
                break;
            }
            Class::Fragment => return Err(TargetError("the request target has a fragment")),
            Class::Invalid => return Err(TargetError("the request target has a byte that is not visible ASCII")),
        }
        previous = byte;
    }
    for &byte in &target[path_end..] {
        match CLASS[usize::from(byte)] {
            Class::Fragment => return Err(TargetError("the request target has a fragment")),
            Class::Invalid => return Err(TargetError("the request target has a byte that is not visible ASCII")),
            Class::Plain | Class::Slash | Class::Dot | Class::Special | Class::Query => {}
        }
    }
    Ok((path_end, plain))
}

fn rebuild(path: &[u8], capacity: usize) -> Result<BytesMut, TargetError> {
    let mut output = BytesMut::with_capacity(capacity);
    let mut segments = path[1..].split(|byte| *byte == b'/').peekable();
    output.extend_from_slice(b"/");
    while let Some(raw) = segments.next() {
        let last = segments.peek().is_none();
        let start = output.len();
        decode(raw, &mut output)?;
        match &output[start..] {
            b"" | b"." => output.truncate(start),
            b".." => {
                output.truncate(start);
                remove_last_segment(&mut output);
            }
            segment => {
                refuse_hidden_dots(segment)?;
                if !last {
                    output.extend_from_slice(b"/");
                }
            }
        }
    }
    Ok(output)
}

/// `/a/b/` becomes `/a/`; the root stays the root.
fn remove_last_segment(output: &mut BytesMut) {
    let without_slash = &output[..output.len() - 1];
    let keep = memchr::memrchr(b'/', without_slash).map_or(1, |slash| slash + 1);
    output.truncate(keep);
}

/// Decodes escaped unreserved characters of one segment and upper-cases the other escapes.
fn decode(raw: &[u8], output: &mut BytesMut) -> Result<(), TargetError> {
    let mut rest = raw;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        output.extend_from_slice(&rest[..percent]);
        let (high, low) = match rest[percent + 1..] {
            [high, low, ..] => (high, low),
            _ => return Err(TargetError("the path has a broken percent-escape")),
        };
        let byte = hexadecimal(high)
            .zip(hexadecimal(low))
            .map(|(high, low)| high << 4 | low)
            .ok_or(TargetError("the path has a broken percent-escape"))?;
        match byte {
            0 => return Err(TargetError("the path has an escaped NUL")),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => output.extend_from_slice(&[byte]),
            _ => output.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
        }
        rest = &rest[percent + 3..];
    }
    output.extend_from_slice(rest);
    Ok(())
}

/// Refuses a segment that another server could read as holding `.` or `..`; escapes are upper case by now.
fn refuse_hidden_dots(segment: &[u8]) -> Result<(), TargetError> {
    let mut start = 0;
    let mut index = 0;
    loop {
        let rest = &segment[index..];
        let separator = match rest {
            [] => 0,
            [b'\\', ..] => 1,
            [b'%', b'2', b'F', ..] | [b'%', b'5', b'C', ..] => 3,
            _ => {
                index += 1;
                continue;
            }
        };
        let component = &segment[start..index];
        let name = component.split(|byte| *byte == b';').next().unwrap_or(component);
        if matches!(name, b"." | b"..") {
            return Err(TargetError("the path hides a dot segment"));
        }
        if separator == 0 {
            return Ok(());
        }
        index += separator;
        start = index;
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Slash,
    Dot,
    Special,
    Query,
    Fragment,
    Invalid,
}

const CLASS: [Class; 256] = {
    let mut table = [Class::Invalid; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = Class::Plain;
        byte += 1;
    }
    table[b'/' as usize] = Class::Slash;
    table[b'.' as usize] = Class::Dot;
    table[b'%' as usize] = Class::Special;
    table[b'\\' as usize] = Class::Special;
    table[b'?' as usize] = Class::Query;
    table[b'#' as usize] = Class::Fragment;
    table
};
