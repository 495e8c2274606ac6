//! JSON values, appended to a buffer of lines.

use std::io::Write;

pub fn number(value: u64, out: &mut Vec<u8>) {
    if value < 10 {
        return out.push(b'0' + value as u8);
    }
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub fn optional_number(value: Option<u64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => number(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

pub fn optional_text(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.push(b'"');
            escape(value, out);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

/// A value that holds nothing to escape.
pub fn optional_known(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.push(b'"');
            out.extend_from_slice(value);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

pub fn named(value: &str, out: &mut Vec<u8>) {
    optional_text((!value.is_empty()).then_some(value.as_bytes()), out);
}

/// JSON string escaping; bytes that are not UTF-8 become U+FFFD, so a line is always valid JSON.
#[inline]
pub fn escape(value: &[u8], out: &mut Vec<u8>) {
    // Without early exit, so that many bytes are looked at in one step.
    let special = |byte: u8| !(0x20..=0x7e).contains(&byte) | (byte == b'"') | (byte == b'\\');
    if value.iter().fold(false, |found, byte| found | special(*byte)) {
        return escape_special(value, out);
    }
    out.extend_from_slice(value);
}

#[cold]
fn escape_special(value: &[u8], out: &mut Vec<u8>) {
    for character in String::from_utf8_lossy(value).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_values_stay_inside_their_json_string() {
        let mut out = Vec::new();
        escape(b"a\"b\\c\n\x7f\xff\xc3\xa9", &mut out);
        let line = format!("\"{}\"", String::from_utf8(out).expect("utf-8"));
        let back: String = serde_json::from_str(&line).expect("valid JSON");
        assert_eq!(back, "a\"b\\c\n\u{7f}\u{fffd}\u{e9}");
    }
}
