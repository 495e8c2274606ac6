//! RequestHeaderModifier: set, then add, then remove. It also owns the compiled form that responses share.

use http::header::{HeaderName, HeaderValue};
use sekisho_codec::message::Headers;
use sekisho_table::{Header, HeaderModifier};

use crate::edge::underscore;

#[derive(Debug)]
pub struct RequestHeaders(HeaderChanges);

impl RequestHeaders {
    pub fn compile(modifier: &HeaderModifier) -> Self {
        Self(HeaderChanges::compile(modifier))
    }

    pub fn apply(&self, headers: &mut Headers) {
        // A backend that reads `x_user` as `X-User` must not get the client's in place of the rule's.
        for name in self.0.named() {
            underscore::drop_twins(headers, name);
        }
        self.0.apply(headers);
    }
}

/// A modifier with its names and values parsed.
#[derive(Debug)]
pub struct HeaderChanges {
    set: Box<[(HeaderName, HeaderValue)]>,
    add: Box<[(HeaderName, HeaderValue)]>,
    remove: Box<[HeaderName]>,
}

impl HeaderChanges {
    pub fn compile(modifier: &HeaderModifier) -> Self {
        let name = |name: &String| HeaderName::from_bytes(name.as_bytes()).ok();
        Self {
            set: parse(&modifier.set),
            add: parse(&modifier.add),
            remove: modifier.remove.iter().filter_map(name).collect(),
        }
    }

    pub fn apply(&self, headers: &mut Headers) {
        for (name, value) in &self.set {
            headers.set(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name.clone(), value.clone());
        }
        for name in &self.remove {
            headers.remove(name);
        }
    }

    fn named(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().chain(&self.add).map(|(name, _)| name).chain(&self.remove)
    }
}

/// The table is validated, so nothing is lost here.
fn parse(headers: &[Header]) -> Box<[(HeaderName, HeaderValue)]> {
    let parsed = headers.iter().filter_map(|header| {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(header.value.as_bytes()).ok()?))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderModifier {
        let list = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect()
        };
        HeaderModifier { set: list(set), add: list(add), remove: remove.iter().map(|name| (*name).into()).collect() }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn listed(headers: &Headers) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn changes_run_in_the_order_set_add_remove() {
        type Pairs<'a> = &'a [(&'static str, &'static str)];
        let cases: &[(HeaderModifier, Pairs<'_>, Pairs<'_>)] = &[
            (changes(&[("x-a", "2")], &[], &[]), &[("x-a", "1")], &[("x-a", "2")]),
            (changes(&[("x-a", "2")], &[], &[]), &[("x-a", "1"), ("x-a", "3")], &[("x-a", "2")]),
            (changes(&[("x-a", "2")], &[], &[]), &[], &[("x-a", "2")]),
            (changes(&[], &[("x-a", "2")], &[]), &[("x-a", "1")], &[("x-a", "1"), ("x-a", "2")]),
            (changes(&[], &[], &["x-a"]), &[("x-a", "1"), ("x-b", "1"), ("x-a", "2")], &[("x-b", "1")]),
            (changes(&[("x-a", "2")], &[("x-a", "3")], &["x-b"]), &[("x-b", "1")], &[("x-a", "2"), ("x-a", "3")]),
            (changes(&[("x-a", "2")], &[], &["x-a"]), &[], &[]),
            (changes(&[], &[], &["x-absent"]), &[("x-a", "1")], &[("x-a", "1")]),
        ];
        for (modifier, before, after) in cases {
            let mut changed = headers(before);
            RequestHeaders::compile(modifier).apply(&mut changed);
            assert_eq!(listed(&changed), listed(&headers(after)), "{modifier:?} on {before:?}");
        }
    }

    #[test]
    fn a_client_cannot_shadow_a_changed_header_with_underscores() {
        let mut changed = headers(&[("x_user", "admin"), ("x_other", "1")]);
        RequestHeaders::compile(&changes(&[("x-user", "guest")], &[], &[])).apply(&mut changed);
        assert_eq!(listed(&changed), listed(&headers(&[("x_other", "1"), ("x-user", "guest")])));
        let mut removed = headers(&[("x_user", "admin"), ("x-user", "admin")]);
        RequestHeaders::compile(&changes(&[], &[], &["x-user"])).apply(&mut removed);
        assert!(removed.is_empty());
    }
}
