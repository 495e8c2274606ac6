//! Rules on names and sizes that several resources share.

use std::fmt::Display;

use http::header::{HeaderName, HeaderValue};

use super::Verdict;

const MAX_KEY_BYTES: usize = 1024;
const MAX_HOSTNAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;
const MAX_HEADER_VALUE_BYTES: usize = 8192;
const MAX_PATH_BYTES: usize = 1024;

/// What is wrong, and the field it is in.
pub struct Problem {
    place: String,
    text: String,
}

/// A problem that the caller will place with [`at`].
pub fn problem(text: impl Into<String>) -> Verdict {
    Err(Problem { place: String::new(), text: text.into() })
}

impl Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.place.is_empty() { f.write_str(&self.text) } else { write!(f, "{}: {}", self.place, self.text) }
    }
}

/// Puts a problem into the field it was found in.
pub fn at(field: impl Display, verdict: Verdict) -> Verdict {
    verdict.map_err(|Problem { place, text }| {
        let dot = if place.is_empty() || place.starts_with('[') { "" } else { "." };
        Problem { place: format!("{field}{dot}{place}"), text }
    })
}

/// Judges every item of a list, naming the index of the first bad one.
pub fn each<T>(field: &str, items: &[T], judge: impl Fn(&T) -> Verdict) -> Verdict {
    for (index, item) in items.iter().enumerate() {
        at(format_args!("{field}[{index}]"), judge(item))?;
    }
    Ok(())
}

pub fn bounded(size: usize, most: usize, unit: &str) -> Verdict {
    if size <= most { Ok(()) } else { problem(format!("{size} {unit} are over the bound of {most}; use fewer")) }
}

pub fn nonzero(value: u64) -> Verdict {
    if value > 0 { Ok(()) } else { problem("0 is not allowed; write 1 or more") }
}

pub fn key(key: &str) -> Verdict {
    if key.is_empty() {
        return problem("the key is empty; every resource needs one");
    }
    bounded(key.len(), MAX_KEY_BYTES, "bytes")
}

/// A DNS name in lower case (an IP address in dotted form reads as one).
pub fn hostname(name: &str) -> Verdict {
    let label_is_good = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL_BYTES
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return problem(format!("`{name}` is not in lower case; write `{}`", name.to_ascii_lowercase()));
    }
    if name.len() > MAX_HOSTNAME_BYTES || !name.split('.').all(label_is_good) {
        return problem(format!(
            "`{name}` is not a hostname; write a DNS name such as `www.example.com`, without port"
        ));
    }
    Ok(())
}

/// A hostname whose first label may be `*`.
pub fn pattern_hostname(name: &str) -> Verdict {
    hostname(name.strip_prefix("*.").unwrap_or(name))
}

pub fn header_name(name: &str) -> Verdict {
    if HeaderName::from_lowercase(name.as_bytes()).is_ok() {
        return Ok(());
    }
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(lower) => problem(format!("`{name}` is not in lower case; write `{lower}`")),
        Err(_) => problem(format!("`{}` is not a header name; use letters, digits and `-`", name.escape_debug())),
    }
}

pub fn header_value(value: &str) -> Verdict {
    bounded(value.len(), MAX_HEADER_VALUE_BYTES, "bytes")?;
    match HeaderValue::from_str(value).or_else(|_| HeaderValue::from_bytes(value.as_bytes())) {
        Ok(_) => Ok(()),
        Err(_) => problem(format!("`{}` holds control characters; remove them", value.escape_debug())),
    }
}

/// A token of RFC 9110, such as a method.
pub fn token(text: &str) -> Verdict {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(is_token) {
        return Ok(());
    }
    problem(format!("`{}` is not a method name; write one such as `GET`", text.escape_debug()))
}

/// A path without query: `/` first, then what a request line can carry.
pub fn path(path: &str) -> Verdict {
    bounded(path.len(), MAX_PATH_BYTES, "bytes")?;
    if !path.starts_with('/') {
        return problem(format!("`{}` does not start with `/`; write `/{}`", path.escape_debug(), path.escape_debug()));
    }
    if path.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#') {
        return Ok(());
    }
    problem(format!("`{}` holds characters that a path cannot; percent-encode them", path.escape_debug()))
}
