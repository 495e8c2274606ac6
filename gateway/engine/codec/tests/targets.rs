//! One spelling for one path, and authorities that cannot be misread.

use std::borrow::Cow;

use sekisho_codec::authority::{host_lower, split};
use sekisho_codec::target::{Normalized, normalize};

fn normal(target: &str) -> Result<String, &'static str> {
    match normalize(target.as_bytes()) {
        Ok(Normalized::Unchanged) => Ok(target.to_owned()),
        Ok(Normalized::Changed(changed)) => Ok(String::from_utf8_lossy(&changed).into_owned()),
        Err(error) => Err(error.0),
    }
}

#[test]
fn normal_targets_are_left_alone_without_a_copy() {
    for target in
        ["/", "/a", "/a/b/", "/a.b/c.d", "/.well-known/x", "/a/...", "/a/..b", "/%20%2F", "/a;b=c/d,e@f", "/?"]
    {
        assert_eq!(normalize(target.as_bytes()), Ok(Normalized::Unchanged), "{target}");
    }
    for target in ["/a?b=//../%zz%2e", "/a?x=[]{}|^", "/a?b?c"] {
        assert_eq!(normalize(target.as_bytes()), Ok(Normalized::Unchanged), "{target}");
    }
}

#[test]
fn every_path_comes_to_its_one_spelling() {
    let cases = [
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/.", "/"),
        ("/..", "/"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/./b/../../c", "/c"),
        ("/../../a", "/a"),
        ("/a//../b", "/b"),
        ("/%2e/a", "/a"),
        ("/a/%2E%2e/b", "/b"),
        ("/a/.%2e", "/"),
        ("/%41%7a%30%2D%5f%7E", "/Az0-_~"),
        ("/%2f", "/%2F"),
        ("/a%2fb%c3%a9", "/a%2Fb%C3%A9"),
        ("/a/../b?c/../d//%2e", "/b?c/../d//%2e"),
        ("/%252e", "/%252e"),
    ];
    for (target, expected) in cases {
        assert_eq!(normal(target).as_deref(), Ok(expected), "{target}");
    }
}

#[test]
fn normalizing_twice_changes_nothing() {
    let mut random = fastrand::Rng::with_seed(7);
    let parts = ["/", "//", ".", "..", "%2e", "%2E", "a", "%41", "%2f", "%5c", "\\", "%20", ";", "~", "%25", "?", "b"];
    for _ in 0..50_000 {
        let mut target = String::from("/");
        for _ in 0..random.usize(0..8) {
            target.push_str(parts[random.usize(..parts.len())]);
        }
        if let Ok(once) = normal(&target) {
            assert_eq!(normal(&once).as_deref(), Ok(once.as_str()), "{target}");
            let path = once.split('?').next().unwrap_or_default();
            assert!(path.starts_with('/') && !path.contains("//"), "{target} became {once}");
            let mut segments = path.split('/');
            assert!(!segments.any(|segment| segment == "." || segment == ".."), "{target} became {once}");
        }
    }
}

#[test]
fn what_two_servers_could_read_differently_is_refused() {
    let cases = [
        ("", "absolute path"),
        ("a", "absolute path"),
        ("*", "absolute path"),
        ("/a b", "visible ASCII"),
        ("/a\tb", "visible ASCII"),
        ("/a\x7f", "visible ASCII"),
        ("/a\u{e9}", "visible ASCII"),
        ("/a?b\x01", "visible ASCII"),
        ("/a#b", "fragment"),
        ("/a?b#c", "fragment"),
        ("/%00", "escaped NUL"),
        ("/a%", "broken"),
        ("/a%4", "broken"),
        ("/a%4/b", "broken"),
        ("/a%zz", "broken"),
        ("/a%2f..", "hides"),
        ("/..%2fa", "hides"),
        ("/a%2F%2e%2e%2Fb", "hides"),
        ("/%2f./a", "hides"),
        ("/a%5c..%5cb", "hides"),
        ("/a\\..\\b", "hides"),
        ("/..\\a", "hides"),
        ("/a/..;/b", "hides"),
        ("/a/.;x=y/b", "hides"),
        ("/a/%2e%2e;/b", "hides"),
    ];
    for (target, reason) in cases {
        let named = normal(target).expect_err(target);
        assert!(named.contains(reason), "{target:?} was refused for {named:?}");
    }
}

#[test]
fn authorities_split_into_host_and_port() {
    let cases = [
        ("a", Some(("a", None))),
        ("Example.com:8080", Some(("Example.com", Some(8080)))),
        ("example.com.", Some(("example.com.", None))),
        ("a_b-c:", Some(("a_b-c", None))),
        ("10.0.0.1:65535", Some(("10.0.0.1", Some(65535)))),
        ("[::1]", Some(("[::1]", None))),
        ("[2001:db8::1]:443", Some(("[2001:db8::1]", Some(443)))),
        ("[::ffff:10.0.0.1]:", Some(("[::ffff:10.0.0.1]", None))),
        ("", None),
        (":80", None),
        (".", None),
        (".a", None),
        ("a..b", None),
        ("a b", None),
        ("a:65536", None),
        ("a:-1", None),
        ("a:+1", None),
        ("a:000080", None),
        ("a:1:2", None),
        ("u@a", None),
        ("u:p@a", None),
        ("a/b", None),
        ("a?b", None),
        ("a#b", None),
        ("a,b", None),
        ("*.a", None),
        ("a%41", None),
        ("a\u{e9}", None),
        ("::1", None),
        ("[::1", None),
        ("[::1]80", None),
        ("[]", None),
        ("[a]", None),
        ("[fe80::1%25eth0]", None),
    ];
    for (authority, expected) in cases {
        assert_eq!(split(authority), expected, "{authority}");
    }
}

#[test]
fn hosts_are_matched_in_lower_case_without_the_root_dot() {
    assert!(matches!(host_lower("a.example"), Cow::Borrowed("a.example")));
    assert!(matches!(host_lower("a.example."), Cow::Borrowed("a.example")));
    assert_eq!(host_lower("A.Example."), "a.example");
}
