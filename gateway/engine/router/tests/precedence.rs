//! Which route takes a request: the rules of the Gateway API as tables (`HTTPRouteRule.matches`, `HTTPPathMatch`,
//! `HTTPHeaderMatch`, and the hostnames of routes and listeners).

mod support;

use serde_json::{Value, json};
use support::{Request, decide, listener, name_of, route, router, table};

fn exact(path: &str) -> Value {
    json!({"path": {"type": "Exact", "value": path}})
}

fn prefix(path: &str) -> Value {
    json!({"path": {"type": "PathPrefix", "value": path}})
}

fn regex(path: &str) -> Value {
    json!({"path": {"type": "RegularExpression", "value": path}})
}

/// A router with one HTTPRoute for each name, for every host; the name of the route that takes the request.
fn winner(rules: &[(&str, Value)], request: &Request) -> String {
    let routes =
        rules.iter().map(|(name, it)| route(&format!("HTTPRoute/n/{name}/0"), "l", &["*"], json!([it]))).collect();
    name_of(&decide(&router(routes), request))
}

#[test]
fn a_path_prefix_matches_whole_elements_and_ignores_its_trailing_slash() {
    for (value, path, matches) in [
        ("/abc", "/abc", true),
        ("/abc", "/abc/", true),
        ("/abc", "/abc/d", true),
        ("/abc", "/abcd", false),
        ("/abc", "/ab", false),
        ("/abc", "/ABC", false),
        ("/abc/", "/abc", true),
        ("/abc/", "/abc/", true),
        ("/abc/", "/abc/d", true),
        ("/abc/", "/abcd", false),
        ("/", "/", true),
        ("/", "/anything/at/all", true),
        ("/", "*", false),
    ] {
        let expected = if matches { "r" } else { "404" };
        assert_eq!(winner(&[("r", prefix(value))], &Request::get("h", path)), expected, "{value} {path}");
    }
}

#[test]
fn an_exact_path_matches_nothing_else() {
    for (path, expected) in [("/abc", "r"), ("/abc/", "404"), ("/abc/d", "404"), ("/ab", "404"), ("/Abc", "404")] {
        assert_eq!(winner(&[("r", exact("/abc"))], &Request::get("h", path)), expected, "{path}");
    }
}

/// Requests arrive normalised (RFC 3986, 6.2.2), so a path in another spelling would never match.
#[test]
fn configured_paths_match_in_any_spelling() {
    for (made, path) in [
        (exact("/caf%c3%a9"), "/caf%C3%A9"),
        (exact("/%61bc"), "/abc"),
        (prefix("/caf%c3%a9/"), "/caf%C3%A9/menu"),
        (prefix("/%7euser"), "/~user"),
    ] {
        assert_eq!(winner(&[("r", made.clone())], &Request::get("h", path)), "r", "{made}");
    }
    // The longest prefix is the longest one as it is compared.
    let rules = [("a", prefix("/%61%61")), ("b", prefix("/aa/b"))];
    assert_eq!(winner(&rules, &Request::get("h", "/aa/b")), "b");
}

#[test]
fn a_regular_expression_matches_the_whole_path() {
    for (path, expected) in [("/v1/x", "r"), ("/v1/x/y", "404"), ("/a/v1/x", "404"), ("/v12/x", "404")] {
        assert_eq!(winner(&[("r", regex("/v[0-9]/[a-z]"))], &Request::get("h", path)), expected, "{path}");
    }
}

#[test]
fn a_match_without_predicates_takes_everything() {
    for request in [Request::get("h", "/"), Request::get("", "/x?y").method("POST")] {
        assert_eq!(winner(&[("r", json!({}))], &request), "r");
    }
}

#[test]
fn the_more_specific_match_wins_whatever_the_order_of_routes() {
    let get = || Request::get("h", "/a/b?x=1&y=2").headers(&[("x-one", "1"), ("x-two", "2")]);
    let one = || json!({"name": "x-one", "value": "1"});
    let two = || json!({"name": "x-two", "value": "2"});
    let with = |mut base: Value, field: &str, value: Value| {
        base[field] = value;
        base
    };
    let x = || json!({"name": "x", "value": "1"});
    let y = || json!({"name": "y", "value": "2"});
    for (better, worse) in [
        (exact("/a/b"), regex("/a/.*")),
        (exact("/a/b"), prefix("/a/b")),
        (exact("/a/b"), with(with(prefix("/a/b"), "method", json!("GET")), "headers", json!([one(), two()]))),
        (regex("/a/.*"), prefix("/a/b")),
        (regex("/a/.*"), regex("/.*")),
        (prefix("/a/b"), prefix("/a")),
        (prefix("/a/b"), with(prefix("/a"), "method", json!("GET"))),
        (prefix("/a"), prefix("/")),
        (prefix("/a"), json!({})),
        (with(prefix("/a"), "method", json!("GET")), with(prefix("/a"), "headers", json!([one(), two()]))),
        (with(prefix("/a"), "headers", json!([one(), two()])), with(prefix("/a"), "headers", json!([one()]))),
        (with(prefix("/a"), "headers", json!([one()])), with(prefix("/a"), "query", json!([x(), y()]))),
        (with(prefix("/a"), "query", json!([x(), y()])), with(prefix("/a"), "query", json!([x()]))),
        (with(prefix("/a"), "query", json!([x()])), prefix("/a")),
    ] {
        for rules in [[("a", better.clone()), ("b", worse.clone())], [("b", worse.clone()), ("a", better.clone())]] {
            assert_eq!(winner(&rules, &get()), "a", "{better} against {worse}");
        }
        // Names the other way round, so that the alphabet cannot be what decides.
        assert_eq!(winner(&[("z", better.clone()), ("b", worse.clone())], &get()), "z", "{better} against {worse}");
    }
}

#[test]
fn ties_go_to_the_oldest_route_then_the_name_then_the_first_rule_and_match() {
    let made = |key: &str, created: i64, matches: Value| {
        let mut made = route(key, "l", &["*"], matches);
        made["created"] = json!(created);
        made
    };
    let any = || json!([{}]);
    for (routes, expected) in [
        (vec![made("HTTPRoute/n/a/0", 20, any()), made("HTTPRoute/n/b/0", 10, any())], "HTTPRoute/n/b/0#0"),
        (vec![made("HTTPRoute/n/b/0", 10, any()), made("HTTPRoute/n/a/0", 10, any())], "HTTPRoute/n/a/0#0"),
        (vec![made("HTTPRoute/m/b/0", 10, any()), made("HTTPRoute/n/a/0", 10, any())], "HTTPRoute/m/b/0#0"),
        (vec![made("HTTPRoute/n/a/10", 10, any()), made("HTTPRoute/n/a/9", 10, any())], "HTTPRoute/n/a/9#0"),
        (vec![made("HTTPRoute/n/a/0", 10, json!([{}, {}]))], "HTTPRoute/n/a/0#0"),
        (
            vec![
                made("HTTPRoute/n/a/0", 10, json!([{}, {"method": "GET"}])),
                made("HTTPRoute/n/a/1", 10, json!([{"method": "GET"}])),
            ],
            "HTTPRoute/n/a/0#1",
        ),
    ] {
        assert_eq!(decide(&router(routes), &Request::get("h", "/")), expected);
    }
}

#[test]
fn a_lower_rank_goes_before_whatever_else_the_matches_are() {
    let made = |key: &str, rank: u8, matches: Value| {
        let mut made = route(key, "l", &["*"], matches);
        made["rank"] = json!(rank);
        made["created"] = json!(100 - i64::from(rank));
        made
    };
    let with_method = || json!([{"path": {"type": "PathPrefix", "value": "/x"}, "method": "GET"}]);
    let first = || made("HTTPRoute/n/first/0", 0, json!([prefix("/x")]));
    for (other, expected) in [
        (made("HTTPRoute/n/other/0", 1, with_method()), "HTTPRoute/n/first/0#0"),
        (made("HTTPRoute/n/other/0", 0, with_method()), "HTTPRoute/n/other/0#0"),
        (made("HTTPRoute/n/other/0", 1, json!([exact("/x")])), "HTTPRoute/n/other/0#0"),
    ] {
        assert_eq!(decide(&router(vec![first(), other]), &Request::get("h", "/x")), expected);
    }
}

#[test]
fn the_hostname_comes_before_everything_else() {
    let routes = || {
        vec![
            route("HTTPRoute/n/any/0", "l", &["*"], json!([exact("/x"), prefix("/")])),
            route("HTTPRoute/n/wide/0", "l", &["*.com"], json!([exact("/x")])),
            route("HTTPRoute/n/narrow/0", "l", &["*.example.com"], json!([exact("/x"), exact("/narrow")])),
            route("HTTPRoute/n/one/0", "l", &["www.example.com"], json!([prefix("/x"), exact("/one")])),
        ]
    };
    let router = router(routes());
    for (host, path, expected) in [
        ("www.example.com", "/x", "one"),
        ("www.example.com", "/one", "one"),
        ("www.example.com", "/narrow", "narrow"),
        ("www.example.com", "/other", "any"),
        ("a.b.example.com", "/x", "narrow"),
        ("example.com", "/x", "wide"),
        ("example.com", "/narrow", "any"),
        ("other.com", "/x", "wide"),
        ("other.org", "/x", "any"),
        ("", "/x", "any"),
    ] {
        assert_eq!(name_of(&decide(&router, &Request::get(host, path))), expected, "{host} {path}");
    }
}

#[test]
fn headers_are_compared_whole_and_repeated_ones_joined() {
    let header = |value: &str, kind: &str| json!({"headers": [{"name": "x-role", "value": value, "type": kind}]});
    for (wanted, kind, sent, matches) in [
        ("admin", "Exact", vec!["admin"], true),
        ("admin", "Exact", vec!["Admin"], false),
        ("admin", "Exact", vec![], false),
        ("admin", "Exact", vec!["admin", "guest"], false),
        ("admin", "Exact", vec!["guest", "admin"], false),
        ("admin,guest", "Exact", vec!["admin", "guest"], true),
        ("", "Exact", vec![""], true),
        ("", "Exact", vec![], false),
        ("adm.*", "RegularExpression", vec!["admin"], true),
        ("adm", "RegularExpression", vec!["admin"], false),
        ("adm[a-z]*", "RegularExpression", vec!["admin", "guest"], false),
        ("adm[a-z]*,guest", "RegularExpression", vec!["admin", "guest"], true),
        (".*", "RegularExpression", vec![], false),
    ] {
        let pairs: Vec<_> = sent.iter().map(|value| ("X-Role", *value)).collect();
        let request = Request::get("h", "/").headers(&pairs);
        let expected = if matches { "r" } else { "404" };
        assert_eq!(winner(&[("r", header(wanted, kind))], &request), expected, "{wanted} {kind} {sent:?}");
    }
}

#[test]
fn a_match_on_host_looks_at_the_host_that_was_asked_for() {
    let rule = json!({"headers": [{"name": "host", "value": "a.com"}]});
    assert_eq!(winner(&[("r", rule.clone())], &Request::get("a.com", "/")), "r");
    assert_eq!(winner(&[("r", rule)], &Request::get("b.com", "/")), "404");
}

#[test]
fn query_parameters_are_decoded_and_the_first_one_counts() {
    let query = |value: &str, kind: &str| json!({"query": [{"name": "a b", "value": value, "type": kind}]});
    for (wanted, kind, sent, matches) in [
        ("x y", "Exact", "a%20b=x%20y", true),
        ("x", "Exact", "%61%20b=x", true),
        ("x", "Exact", "c=1&a%20b=x", true),
        ("x", "Exact", "a%20b=x&a%20b=y", true),
        ("y", "Exact", "a%20b=x&a%20b=y", false),
        ("", "Exact", "a%20b", true),
        ("x", "Exact", "", false),
        ("x", "Exact", "A%20b=x", false),
        ("[0-9]+ y", "RegularExpression", "a%20b=12%20y", true),
        ("[0-9]+", "RegularExpression", "a%20b=12x", false),
    ] {
        let expected = if matches { "r" } else { "404" };
        let request = Request::get("h", &format!("/?{sent}"));
        assert_eq!(winner(&[("r", query(wanted, kind))], &request), expected, "{wanted} {sent}");
    }
}

#[test]
fn methods_are_compared_exactly() {
    for (method, expected) in [("GET", "r"), ("get", "404"), ("POST", "404")] {
        assert_eq!(winner(&[("r", json!({"method": "GET"}))], &Request::get("h", "/").method(method)), expected);
    }
}

#[test]
fn routes_of_one_listener_are_not_considered_for_another() {
    let listeners = ["", "*.example.com", "*.foo.example.com", "abc.foo.example.com"];
    let names = ["empty", "wide", "narrow", "exact"];
    let table = table(
        names.iter().zip(listeners).map(|(name, hostname)| listener(name, "HTTP", hostname)).collect(),
        names
            .iter()
            .map(|name| {
                let path = json!([prefix(&format!("/{name}"))]);
                route(&format!("HTTPRoute/n/{name}/0"), name, &["*"], path)
            })
            .collect(),
    );
    let router = sekisho_router::Router::build(&table);
    for (host, owner) in [
        ("bar.com", "empty"),
        ("example.com", "empty"),
        ("bar.example.com", "wide"),
        ("foo.example.com", "wide"),
        ("bar.foo.example.com", "narrow"),
        ("x.y.foo.example.com", "narrow"),
        ("abc.foo.example.com", "exact"),
    ] {
        for name in names {
            let expected = if name == owner { name } else { "404" };
            assert_eq!(name_of(&decide(&router, &Request::get(host, &format!("/{name}")))), expected, "{host} /{name}");
        }
    }
}

#[test]
fn without_a_listener_for_the_host_there_is_no_route() {
    let table = table(
        vec![listener("l", "HTTP", "*.example.com")],
        vec![route("HTTPRoute/n/r/0", "l", &["*.example.com"], json!([{}]))],
    );
    let router = sekisho_router::Router::build(&table);
    assert_eq!(decide(&router, &Request::get("www.example.org", "/")), "404");
    assert_eq!(decide(&router, &Request::get("www.example.com", "/")), "HTTPRoute/n/r/0#0");
}

/// The cases of the upstream suite's test of misdirected requests, and those with a host that nobody owns.
#[test]
fn a_host_of_another_listener_than_the_handshake_chose_is_misdirected() {
    let hostnames = ["", "second-example.org", "*.wildcard.org", "fourth-example.wildcard.org"];
    let build = |hostnames: &[&str]| {
        let listeners = hostnames.iter().enumerate().map(|(i, it)| listener(&format!("l{i}"), "HTTPS", it)).collect();
        let routes = (0..hostnames.len()).map(|i| {
            let own = if i == 0 && hostnames[0].is_empty() { "example.org" } else { "*" };
            route(&format!("HTTPRoute/n/r{i}/0"), &format!("l{i}"), &[own], json!([{}]))
        });
        sekisho_router::Router::build(&table(listeners, routes.collect()))
    };
    let router = build(&hostnames);
    for (sni, host, expected) in [
        ("example.org", "example.org", "r0"),
        ("example.org", "second-example.org", "421"),
        ("example.org", "unknown-example.org", "404"),
        ("second-example.org", "second-example.org", "r1"),
        ("second-example.org", "example.org", "421"),
        ("second-example.org", "unknown-example.org", "421"),
        ("third-example.wildcard.org", "third-example.wildcard.org", "r2"),
        ("third-example.wildcard.org", "fith-example.wildcard.org", "r2"),
        ("third-example.wildcard.org", "fourth-example.wildcard.org", "421"),
        ("third-example.wildcard.org", "second-example.org", "421"),
        ("third-example.wildcard.org", "unknown-example.org", "421"),
        ("fourth-example.wildcard.org", "fourth-example.wildcard.org", "r3"),
        ("fourth-example.wildcard.org", "fith-example.wildcard.org", "421"),
        ("unknown-example.org", "example.org", "r0"),
        ("unknown-example.org", "unknown-example.org", "404"),
    ] {
        let request = Request::get(host, "/").tls(Some(sni));
        assert_eq!(name_of(&decide(&router, &request)), expected, "{sni} {host}");
    }
    assert_eq!(decide(&router, &Request::get("second-example.org", "/").tls(None)), "421");
    assert_eq!(name_of(&decide(&router, &Request::get("example.org", "/").tls(None))), "r0");
    let without_empty = build(&hostnames[1..]);
    let unowned = Request::get("unknown-example.org", "/").tls(Some("second-example.org"));
    assert_eq!(decide(&without_empty, &unowned), "404");
}
