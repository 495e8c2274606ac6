//! Query parameters, percent-decoded as they are compared (RFC 3986, 2.1); `+` stays a plus sign.

use std::borrow::Cow;

/// The value, still encoded, of the first parameter called `name`.
pub fn first_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|parameter| {
        let (encoded, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (!parameter.is_empty() && decodes_to(encoded, name)).then_some(value)
    })
}

/// Whether `encoded` stands for exactly `text`, without building the decoded form.
pub fn decodes_to(encoded: &str, text: &str) -> bool {
    let mut wanted = text.bytes();
    Decoder { bytes: encoded.as_bytes() }.all(|byte| wanted.next() == Some(byte)) && wanted.next().is_none()
}

/// The decoded form; borrowed when nothing is encoded.
pub fn decode(encoded: &str) -> Cow<'_, str> {
    if !encoded.contains('%') {
        return Cow::Borrowed(encoded);
    }
    let bytes: Vec<u8> = Decoder { bytes: encoded.as_bytes() }.collect();
    Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// A `%` that no two hexadecimal digits follow stands for itself.
struct Decoder<'a> {
    bytes: &'a [u8],
}

impl Iterator for Decoder<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        if *first == b'%'
            && let [high, low, rest @ ..] = rest
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            self.bytes = rest;
            return Some(high << 4 | low);
        }
        self.bytes = rest;
        Some(*first)
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_occurrence_counts_and_names_are_decoded() {
        for (query, name, value) in [
            ("a=1&b=2", "b", Some("2")),
            ("a=1&a=2", "a", Some("1")),
            ("%61=1", "a", Some("1")),
            ("a", "a", Some("")),
            ("a=", "a", Some("")),
            ("a=b=c", "a", Some("b=c")),
            ("&&a=1", "a", Some("1")),
            ("", "a", None),
            ("A=1", "a", None),
            ("ab=1", "a", None),
        ] {
            assert_eq!(first_value(query, name), value, "{query} {name}");
        }
    }

    #[test]
    fn values_are_decoded_once() {
        for (encoded, text) in [
            ("a%20b", "a b"),
            ("a+b", "a+b"),
            ("%2525", "%25"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%C3%A4", "ä"),
            ("%c3%a4", "ä"),
        ] {
            assert!(decodes_to(encoded, text), "{encoded}");
            assert_eq!(decode(encoded), text);
        }
        assert!(!decodes_to("a", "ab"));
        assert!(!decodes_to("ab", "a"));
        assert_eq!(decode("%ff"), "\u{fffd}");
    }
}
