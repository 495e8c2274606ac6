//! Which GRPCRoute takes a call, and which route where both kinds stand (`GRPCRouteRule.matches`).

mod support;

use serde_json::{Value, json};
use support::{Request, decide, name_of, route, router};

fn grpc(service: &str, method: &str, kind: &str) -> Value {
    json!({"grpc": {"service": service, "method": method, "type": kind}})
}

fn grpc_winner(rules: &[(&str, Value)], request: &Request) -> String {
    let routes =
        rules.iter().map(|(name, it)| route(&format!("GRPCRoute/n/{name}/0"), "l", &["*"], json!([it]))).collect();
    name_of(&decide(&router(routes), request))
}

#[test]
fn grpc_matches_service_and_method() {
    for (service, method, kind, path, matches) in [
        ("p.S", "M", "Exact", "/p.S/M", true),
        ("p.S", "M", "Exact", "/p.S/m", false),
        ("p.S", "M", "Exact", "/p.s/M", false),
        ("p.S", "", "Exact", "/p.S/Other", true),
        ("p.S", "", "Exact", "/p.Sx/M", false),
        ("", "M", "Exact", "/any/M", true),
        ("", "M", "Exact", "/any/N", false),
        ("p\\..*", "", "RegularExpression", "/p.S/M", true),
        ("p\\.", "", "RegularExpression", "/p.S/M", false),
        ("p.*", "M[0-9]", "RegularExpression", "/p.S/M1", true),
        ("p.*", "M[0-9]", "RegularExpression", "/p.S/M", false),
        ("", "M|N", "RegularExpression", "/any/N", true),
        ("p.S", "", "Exact", "/p.S", false),
    ] {
        let expected = if matches { "r" } else { "404" };
        let actual = grpc_winner(&[("r", grpc(service, method, kind))], &Request::grpc("h", path));
        assert_eq!(actual, expected, "{service} {method} {kind} {path}");
    }
}

#[test]
fn the_more_specific_grpc_match_wins() {
    let header = |mut base: Value| {
        base["headers"] = json!([{"name": "x-one", "value": "1"}]);
        base
    };
    for (better, worse) in [
        (grpc("p.S", "M", "Exact"), grpc("p.S", "", "Exact")),
        (grpc("p.S", "M", "Exact"), grpc("p.*", "M.*", "RegularExpression")),
        (grpc("p.S", "", "Exact"), grpc("", "M", "Exact")),
        (grpc("p.S", "", "Exact"), grpc("p.*", "M", "RegularExpression")),
        (grpc("p.*", "M", "RegularExpression"), grpc("p.*", "", "RegularExpression")),
        (grpc("p..*", "", "RegularExpression"), grpc("p.*", "", "RegularExpression")),
        (grpc("p.*", "", "RegularExpression"), grpc("", "M", "Exact")),
        (grpc("", "M", "Exact"), grpc("", "M.*", "RegularExpression")),
        (grpc("", "M", "Exact"), header(json!({}))),
        (header(grpc("p.S", "M", "Exact")), grpc("p.S", "M", "Exact")),
        (header(json!({})), json!({})),
    ] {
        let request =
            Request::grpc("h", "/p.S/M").headers(&[("content-type", "application/grpc+proto"), ("x-one", "1")]);
        for rules in [[("a", better.clone()), ("b", worse.clone())], [("z", better.clone()), ("b", worse.clone())]] {
            assert_eq!(grpc_winner(&rules, &request), rules[0].0, "{better} against {worse}");
        }
    }
}

#[test]
fn grpc_routes_take_grpc_requests_first_and_no_others() {
    let router = router(vec![
        route("GRPCRoute/n/grpc/0", "l", &["*"], json!([grpc("p.S", "", "Exact")])),
        route(
            "HTTPRoute/n/http/0",
            "l",
            &["*"],
            json!([
                {"path": {"type": "Exact", "value": "/p.S/M"}},
                {"path": {"type": "PathPrefix", "value": "/"}},
            ]),
        ),
    ]);
    for (content_type, path, expected) in [
        ("application/grpc", "/p.S/M", "grpc"),
        ("Application/GRPC+proto", "/p.S/M", "grpc"),
        ("application/grpc;charset=utf-8", "/p.S/M", "grpc"),
        ("application/grpc", "/other.S/M", "http"),
        ("application/grpc-web", "/p.S/M", "http"),
        ("application/json", "/p.S/M", "http"),
    ] {
        let request = Request::get("h", path).method("POST").headers(&[("content-type", content_type)]);
        assert_eq!(name_of(&decide(&router, &request)), expected, "{content_type} {path}");
    }
}
