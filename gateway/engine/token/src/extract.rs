//! Where a token is in a request, and how it is taken out.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use sekisho_codec::RequestHead;
use sekisho_table::TokenRule;

/// Stands for a token where people read.
const CONCEALED: &str = "***";

/// Somewhere in a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind a prefix, such as `Bearer `, in whatever case.
    Header(HeaderName, Box<str>),
    Parameter(Box<str>),
    Cookie(Box<str>),
}

/// What is at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    Nothing,
    Token(Cow<'a, str>),
    /// More than one, or no text: nobody could say which of them the backend would look at.
    Unclear,
}

impl<'a> Found<'a> {
    fn and(self, token: Cow<'a, str>) -> Self {
        match self {
            Self::Nothing => Self::Token(token),
            Self::Token(_) | Self::Unclear => Self::Unclear,
        }
    }
}

/// The places that a rule looks at; with none named, those of RFC 6750, sections 2.1 and 2.3.
pub fn places(rule: &TokenRule) -> Vec<Place> {
    if rule.from_headers.is_empty() && rule.from_params.is_empty() && rule.from_cookies.is_empty() {
        return vec![Place::Header(AUTHORIZATION, "Bearer ".into()), Place::Parameter("access_token".into())];
    }
    let headers = rule.from_headers.iter().filter_map(|header| {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        Some(Place::Header(name, header.prefix.as_str().into()))
    });
    let parameters = rule.from_params.iter().map(|name| Place::Parameter(name.as_str().into()));
    let cookies = rule.from_cookies.iter().map(|name| Place::Cookie(name.as_str().into()));
    headers.chain(parameters).chain(cookies).collect()
}

impl Place {
    pub fn find<'a>(&self, head: &'a RequestHead) -> Found<'a> {
        match self {
            Self::Header(name, prefix) => in_header(head, name, prefix),
            Self::Parameter(name) => {
                let values =
                    parameters(head.query()).filter_map(|(key, value)| (decoded(key) == **name).then_some(value));
                values.fold(Found::Nothing, |found, value| found.and(decoded(value)))
            }
            Self::Cookie(name) => {
                let lines = head.headers.lines().filter(|(key, _)| *key == COOKIE.as_str().as_bytes());
                let values = lines.flat_map(|(_, line)| cookies(line)).filter(|(key, _)| *key == name.as_bytes());
                values.fold(Found::Nothing, |found, (_, value)| match std::str::from_utf8(value) {
                    Ok(value) => found.and(Cow::Borrowed(value)),
                    Err(_) => Found::Unclear,
                })
            }
        }
    }

    /// Takes the token away from the head.
    pub fn take(&self, head: &mut RequestHead) {
        match self {
            Self::Header(name, _) => drop(head.headers.remove(name)),
            Self::Parameter(name) => {
                let (path, query) = head.path_and_query();
                let rest: Vec<&str> = query.split('&').filter(|part| decoded(split(part).0) != **name).collect();
                let separator = if rest.is_empty() { "" } else { "?" };
                head.target = Bytes::from(format!("{path}{separator}{}", rest.join("&")));
            }
            Self::Cookie(name) => {
                let lines: Vec<Vec<u8>> = head
                    .headers
                    .get_all(&COOKIE)
                    .map(|line| {
                        let kept = line
                            .as_bytes()
                            .split(|byte| *byte == b';')
                            .filter(|cookie| name_of(cookie) != name.as_bytes());
                        kept.map(<[u8]>::trim_ascii).collect::<Vec<_>>().join(&b"; "[..])
                    })
                    .collect();
                head.headers.remove(&COOKIE);
                for line in lines.into_iter().filter(|line| !line.is_empty()) {
                    if let Ok(value) = HeaderValue::from_bytes(&line) {
                        head.headers.append(COOKIE, value);
                    }
                }
            }
        }
    }
}

/// A target for the eyes of people: where a parameter is a token, its name alone is left. `None` where none is.
pub fn concealed(target: &str, names: &[Box<str>]) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    let is_token = |part: &str| {
        let name = decoded(split(part).0);
        names.iter().any(|token| **token == name)
    };
    if names.is_empty() || !query.split('&').any(is_token) {
        return None;
    }
    let shown = query.split('&').map(|part| {
        let (name, _) = split(part);
        if is_token(part) { Cow::Owned(format!("{name}={CONCEALED}")) } else { Cow::Borrowed(part) }
    });
    Some(format!("{path}?{}", shown.collect::<Vec<_>>().join("&")))
}

fn in_header<'a>(head: &'a RequestHead, name: &HeaderName, prefix: &str) -> Found<'a> {
    let lines = || head.headers.lines().filter(|(key, _)| *key == name.as_str().as_bytes());
    let mut found = Found::Nothing;
    for (_, line) in lines() {
        let Ok(text) = std::str::from_utf8(line) else {
            return Found::Unclear;
        };
        match text.split_at_checked(prefix.len()) {
            Some((start, token)) if start.eq_ignore_ascii_case(prefix) => {
                found = found.and(Cow::Borrowed(token.trim()))
            }
            _ => {}
        }
    }
    // Whoever takes the first line, the last or both joined must see the same.
    if found != Found::Nothing && lines().nth(1).is_some() { Found::Unclear } else { found }
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|part| !part.is_empty()).map(split)
}

fn split(part: &str) -> (&str, &str) {
    part.split_once('=').unwrap_or((part, ""))
}

/// A part of a query as forms encode it. What is no text is no name and no token.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let ahead = rest.clone().next().zip(rest.clone().nth(1));
        let digit = |byte: u8| (byte as char).to_digit(16);
        match (byte, ahead.and_then(|(high, low)| Some(digit(high)? * 16 + digit(low)?))) {
            (b'%', Some(value)) => {
                bytes.push(value as u8);
                rest.nth(1);
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
}

fn cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|byte| *byte == b';').filter_map(|cookie| {
        let position = cookie.iter().position(|byte| *byte == b'=')?;
        Some((name_of(cookie), cookie[position + 1..].trim_ascii()))
    })
}

fn name_of(cookie: &[u8]) -> &[u8] {
    cookie.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Version};
    use sekisho_codec::{Headers, Scheme};

    fn head(target: &str, fields: &[(&'static str, &str)]) -> RequestHead {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        RequestHead {
            method: Method::GET,
            scheme: Scheme::Http,
            authority: HeaderValue::from_static("shop.example"),
            target: Bytes::copy_from_slice(target.as_bytes()),
            version: Version::HTTP_11,
            headers,
        }
    }

    fn bearer() -> Place {
        Place::Header(AUTHORIZATION, "Bearer ".into())
    }

    #[test]
    fn a_token_is_behind_its_prefix() {
        for (value, want) in [
            ("Bearer a.b.c", Found::Token("a.b.c".into())),
            ("bearer  a.b.c", Found::Token("a.b.c".into())),
            ("Bearer ", Found::Token("".into())),
            ("Basic dTpw", Found::Nothing),
            ("Bear", Found::Nothing),
        ] {
            assert_eq!(bearer().find(&head("/", &[("authorization", value)])), want, "{value}");
        }
        assert_eq!(bearer().find(&head("/", &[])), Found::Nothing);
    }

    #[test]
    fn several_headers_are_unclear_whichever_comes_first() {
        for (one, other) in [("Bearer a", "Bearer b"), ("Bearer a", "Basic b"), ("Basic b", "Bearer a")] {
            let head = head("/", &[("authorization", one), ("authorization", other)]);
            assert_eq!(bearer().find(&head), Found::Unclear);
        }
    }

    #[test]
    fn a_parameter_is_found_decoded_and_taken_out() {
        let place = Place::Parameter("access_token".into());
        let mut request = head("/a?x=1&access%5Ftoken=a%2Eb&y", &[]);
        assert_eq!(place.find(&request), Found::Token("a.b".into()));
        place.take(&mut request);
        assert_eq!(request.target_str(), "/a?x=1&y");
        let mut alone = head("/a?access_token=t", &[]);
        place.take(&mut alone);
        assert_eq!(alone.target_str(), "/a");
        assert_eq!(place.find(&head("/?access_token=a&access_token=b", &[])), Found::Unclear);
    }

    #[test]
    fn people_see_that_there_was_a_token_and_not_which() {
        let names = ["access_token".into(), "t".into()];
        for (target, want) in [
            ("/a", None),
            ("/a?x=access_token", None),
            ("/a?access_token=secret", Some("/a?access_token=***")),
            ("/a?x=1&access%5Ftoken=secret&t=a=b&t&y", Some("/a?x=1&access%5Ftoken=***&t=***&t=***&y")),
        ] {
            assert_eq!(concealed(target, &names).as_deref(), want, "{target}");
        }
        assert_eq!(concealed("/a?access_token=secret", &[]), None);
    }

    #[test]
    fn a_cookie_is_found_and_taken_out() {
        let place = Place::Cookie("session".into());
        let mut request = head("/", &[("cookie", "a=1; session=t; b=2"), ("cookie", "session2=x")]);
        assert_eq!(place.find(&request), Found::Token("t".into()));
        place.take(&mut request);
        let left: Vec<_> = request.headers.get_all(&COOKIE).map(|value| value.to_str().expect("text")).collect();
        assert_eq!(left, ["a=1; b=2", "session2=x"]);
        assert_eq!(place.find(&head("/", &[("cookie", "session=a;session=b")])), Found::Unclear);
    }
}
