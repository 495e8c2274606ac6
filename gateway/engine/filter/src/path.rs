//! Changes to a path, shared by redirects and rewrites (Gateway API, `HTTPPathModifier`).

use sekisho_codec::target::{self, Normalized};
use sekisho_table::{PathModifier, PathModifierType};

#[derive(Debug)]
pub enum PathChange {
    Full(Box<str>),
    /// Without its trailing `/`: empty takes the prefix away.
    Prefix(Box<str>),
}

impl PathChange {
    pub fn compile(modifier: &PathModifier) -> Self {
        match modifier.kind {
            PathModifierType::ReplaceFullPath if modifier.value.is_empty() => Self::Full("/".into()),
            PathModifierType::ReplaceFullPath => Self::Full(modifier.value.as_str().into()),
            PathModifierType::ReplacePrefixMatch => Self::Prefix(modifier.value.trim_end_matches('/').into()),
        }
    }

    /// Writes the changed path to `out`. Without a matched prefix the whole path counts as what follows it.
    pub fn write(&self, path: &str, matched_prefix: Option<&str>, out: &mut String) {
        match self {
            Self::Full(value) => out.push_str(value),
            Self::Prefix(replacement) => {
                // A filter before this one may have changed the path: then there is no prefix to replace.
                let Some(rest) = after_prefix(path, matched_prefix.unwrap_or("/")) else {
                    out.push_str(path);
                    return;
                };
                out.push_str(replacement);
                out.push_str(rest);
                if replacement.is_empty() && rest.is_empty() {
                    out.push('/');
                }
            }
        }
    }
}

/// What follows `prefix` in `path`, both ending at whole elements.
fn after_prefix<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let after = |prefix: &str| {
        let rest = path.strip_prefix(prefix.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    };
    // The request's path is normalised, and a configured prefix may be spelt otherwise.
    after(prefix).or_else(|| match target::normalize(prefix.as_bytes()) {
        Ok(Normalized::Changed(normal)) => after(std::str::from_utf8(&normal).ok()?),
        Ok(Normalized::Unchanged) | Err(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: PathModifierType, value: &str, path: &str, prefix: Option<&str>) -> String {
        let mut out = String::new();
        PathChange::compile(&PathModifier { kind, value: value.to_owned() }).write(path, prefix, &mut out);
        out
    }

    /// The table in the doc comment of `HTTPPathModifier.ReplacePrefixMatch`, row by row.
    #[test]
    fn replace_prefix_match_follows_the_eleven_rows_of_the_specification() {
        for (path, prefix, replacement, changed) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
        ] {
            let actual = change(PathModifierType::ReplacePrefixMatch, replacement, path, Some(prefix));
            assert_eq!(actual, changed, "{path} {prefix} {replacement:?}");
        }
    }

    #[test]
    fn replace_prefix_match_beyond_the_table() {
        for (path, prefix, replacement, changed) in [
            ("/", Some("/"), "/xyz", "/xyz/"),
            ("/a", Some("/"), "/xyz", "/xyz/a"),
            ("/a", None, "/xyz", "/xyz/a"),
            ("/a", Some("/"), "", "/a"),
            ("/other", Some("/foo"), "/xyz", "/other"),
            ("/foobar", Some("/foo"), "/xyz", "/foobar"),
            ("/caf%C3%A9/x", Some("/caf%c3%a9"), "/xyz", "/xyz/x"),
        ] {
            let actual = change(PathModifierType::ReplacePrefixMatch, replacement, path, prefix);
            assert_eq!(actual, changed, "{path} {prefix:?} {replacement:?}");
        }
    }

    #[test]
    fn replace_full_path_ignores_the_request_path() {
        for (value, changed) in [("/xyz", "/xyz"), ("/xyz/", "/xyz/"), ("", "/")] {
            assert_eq!(change(PathModifierType::ReplaceFullPath, value, "/foo/bar", Some("/foo")), changed);
        }
    }
}
