//! URLRewrite: another authority or path for the request that goes upstream. The query stays.

use bytes::Bytes;
use http::header::HeaderValue;
use sekisho_codec::message::RequestHead;
use sekisho_table::UrlRewrite;

use crate::path::PathChange;
use crate::plan::RequestContext;
use crate::redirect::push_query;

#[derive(Debug)]
pub struct Rewrite {
    authority: Option<HeaderValue>,
    path: Option<PathChange>,
}

impl Rewrite {
    pub fn compile(rewrite: &UrlRewrite) -> Self {
        let named = !rewrite.hostname.is_empty();
        Self {
            authority: named.then(|| HeaderValue::from_str(&rewrite.hostname).ok()).flatten(),
            path: rewrite.path.as_ref().map(PathChange::compile),
        }
    }

    pub fn apply(&self, context: &RequestContext<'_>, head: &mut RequestHead) {
        if let Some(authority) = &self.authority {
            head.authority = authority.clone();
        }
        // `OPTIONS *` has no path to change.
        if let Some(change) = &self.path
            && head.target.starts_with(b"/")
        {
            let mut target = String::with_capacity(head.target.len() + 32);
            change.write(head.path(), context.matched_prefix, &mut target);
            push_query(&mut target, head.target_str());
            head.target = Bytes::from(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Version};
    use sekisho_codec::message::{Headers, Scheme};
    use sekisho_table::{PathModifier, PathModifierType};

    use super::*;

    fn rewritten(hostname: &str, path: Option<(PathModifierType, &str)>, target: &'static str) -> (String, String) {
        let rewrite = UrlRewrite {
            hostname: hostname.to_owned(),
            path: path.map(|(kind, value)| PathModifier { kind, value: value.to_owned() }),
        };
        let mut head = RequestHead {
            method: Method::GET,
            scheme: Scheme::Http,
            authority: HeaderValue::from_static("example.com:8080"),
            target: Bytes::from_static(target.as_bytes()),
            version: Version::HTTP_11,
            headers: Headers::default(),
        };
        let context = RequestContext {
            matched_prefix: Some("/foo"),
            listener_port: 8080,
            host: "example.com",
            scheme: Scheme::Http,
        };
        Rewrite::compile(&rewrite).apply(&context, &mut head);
        (head.authority.to_str().expect("ASCII").to_owned(), head.target_str().to_owned())
    }

    #[test]
    fn authority_and_path_change_and_the_query_stays() {
        use PathModifierType::{ReplaceFullPath, ReplacePrefixMatch};
        for (hostname, path, target, authority, expected) in [
            ("", None, "/foo?q=1", "example.com:8080", "/foo?q=1"),
            ("one.example.org", None, "/foo?q=1", "one.example.org", "/foo?q=1"),
            ("", Some((ReplaceFullPath, "/new")), "/foo/x?q=1", "example.com:8080", "/new?q=1"),
            ("", Some((ReplacePrefixMatch, "/new/")), "/foo/x?q=/foo", "example.com:8080", "/new/x?q=/foo"),
            ("", Some((ReplacePrefixMatch, "")), "/foo?q", "example.com:8080", "/?q"),
            ("", Some((ReplaceFullPath, "/new")), "*", "example.com:8080", "*"),
        ] {
            let actual = rewritten(hostname, path, target);
            assert_eq!(actual, (authority.to_owned(), expected.to_owned()), "{hostname:?} {path:?} {target}");
        }
    }
}
