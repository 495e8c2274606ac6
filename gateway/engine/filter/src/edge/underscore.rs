//! Header names with underscores.
//!
//! Many servers read `X_User` and `X-User` as one name (RFC 3875, 4.1.18). A name with an underscore is dropped
//! where it would shadow another header of the request or one that only the gateway may vouch for.

use http::header::HeaderName;
use sekisho_codec::message::Headers;

/// Names that are believed when the gateway sends them, and so must not be forged.
const VOUCHED: [&str; 12] = [
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "x-real-ip",
    "x-request-id",
];

/// Drops every header that shadows another. Run it before anything looks at the headers.
pub fn drop_shadowing(headers: &mut Headers) {
    if !headers.lines().any(|(name, _)| name.contains(&b'_')) {
        return;
    }
    let others: Vec<HeaderName> =
        headers.iter().map(|(name, _)| name).filter(|name| !has_underscore(name)).cloned().collect();
    headers
        .retain(|name, _| !has_underscore(name) || !(is_vouched(name) || others.iter().any(|it| are_twins(it, name))));
}

/// Drops headers that differ from `name` in underscores alone.
pub fn drop_twins(headers: &mut Headers, name: &HeaderName) {
    if headers.iter().any(|(other, _)| has_underscore(other) && other != name && are_twins(other, name)) {
        headers.retain(|other, _| other == name || !has_underscore(other) || !are_twins(other, name));
    }
}

fn has_underscore(name: &HeaderName) -> bool {
    name.as_str().contains('_')
}

fn is_vouched(name: &HeaderName) -> bool {
    name.as_str().get(..11).is_some_and(|start| same(start, "x-forwarded"))
        || VOUCHED.iter().any(|it| same(it, name.as_str()))
}

fn are_twins(left: &HeaderName, right: &HeaderName) -> bool {
    same(left.as_str(), right.as_str())
}

fn same(left: &str, right: &str) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    left.len() == right.len() && left.bytes().map(dashed).eq(right.bytes().map(dashed))
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn headers(names: &[&'static str]) -> Headers {
        let mut headers = Headers::default();
        names.iter().for_each(|name| headers.append(HeaderName::from_static(name), HeaderValue::from_static("1")));
        headers
    }

    fn names(headers: &Headers) -> Vec<&str> {
        headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn only_names_that_shadow_are_dropped() {
        for (before, after) in [
            (vec!["accept", "x-user"], vec!["accept", "x-user"]),
            (vec!["accept", "x_custom"], vec!["accept", "x_custom"]),
            (vec!["x-user", "x_user"], vec!["x-user"]),
            (vec!["x_user", "x-user"], vec!["x-user"]),
            (vec!["x-a_b", "x-a-b"], vec!["x-a-b"]),
            (vec!["x_forwarded_for"], vec![]),
            (vec!["x-forwarded_proto"], vec![]),
            (vec!["x_forwarded_anything"], vec![]),
            (vec!["content_length", "transfer_encoding", "x_request_id"], vec![]),
            (vec!["x_forward"], vec!["x_forward"]),
        ] {
            let mut changed = headers(&before);
            drop_shadowing(&mut changed);
            assert_eq!(names(&changed), after, "{before:?}");
        }
    }

    #[test]
    fn twins_of_a_name_are_dropped_and_the_name_kept() {
        let mut changed = headers(&["x_user", "x-user", "x_other"]);
        drop_twins(&mut changed, &HeaderName::from_static("x-user"));
        assert_eq!(names(&changed), ["x-user", "x_other"]);
        drop_twins(&mut changed, &HeaderName::from_static("x_other"));
        assert_eq!(names(&changed), ["x-user", "x_other"]);
    }
}
