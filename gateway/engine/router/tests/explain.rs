//! What an explanation tells: candidates in the order tried, first failing predicates, near misses.

mod support;

use sekisho_router::{Explanation, Router, TriedCandidate};
use serde_json::{Value, json};
use support::{Request, decide, listener, route, router, table};

fn explain(router: &Router, request: &Request) -> Explanation {
    decide(router, request);
    router.explain(request.socket(router), &request.view())
}

/// `route: predicate name want got`, or `route: matched`.
fn line(candidate: &TriedCandidate) -> String {
    let name = candidate.route.split('/').nth(2).unwrap_or_default();
    match &candidate.failed {
        None => format!("{name}: matched"),
        Some(failed) => format!(
            "{name}: {} {} want={} got={}",
            failed.predicate,
            failed.name,
            failed.want,
            failed.got.as_deref().unwrap_or("nothing")
        ),
    }
}

fn lines(candidates: &[TriedCandidate]) -> Vec<String> {
    candidates.iter().map(line).collect()
}

fn shop() -> Router {
    let path = |kind: &str, value: &str| json!({"type": kind, "value": value});
    router(vec![
        route("HTTPRoute/n/exact/0", "l", &["a.com"], json!([{"path": path("Exact", "/cart/pay")}])),
        route("HTTPRoute/n/pattern/0", "l", &["a.com"], json!([{"path": path("RegularExpression", "/cart/[0-9]+")}])),
        route("HTTPRoute/n/post/0", "l", &["a.com"], json!([{"path": path("PathPrefix", "/cart"), "method": "POST"}])),
        route(
            "HTTPRoute/n/beta/0",
            "l",
            &["a.com"],
            json!([{"path": path("PathPrefix", "/cart"), "headers": [{"name": "x-beta", "value": "1"}],
                    "query": [{"name": "q", "value": "[0-9]", "type": "RegularExpression"}]}]),
        ),
        route("HTTPRoute/n/wide/0", "l", &["*.com"], json!([{"path": path("PathPrefix", "/cart")}])),
        route("HTTPRoute/n/other/0", "l", &["b.org"], json!([{}])),
    ])
}

#[test]
fn candidates_are_told_in_the_order_tried_up_to_the_winner() {
    let router = shop();
    let get = |headers: &[(&str, &str)]| explain(&router, &Request::get("a.com", "/cart/x?q=y%31").headers(headers));
    assert_eq!(
        lines(&get(&[]).candidates),
        [
            "exact: path Exact want=/cart/pay got=/cart/x",
            "pattern: path RegularExpression want=/cart/[0-9]+ got=/cart/x",
            "post: method  want=POST got=GET",
            "beta: header x-beta want=1 got=nothing",
            "wide: matched",
        ]
    );
    assert_eq!(lines(&get(&[("x-beta", "2"), ("x-beta", "1")]).candidates)[3], "beta: header x-beta want=1 got=2,1");
    assert_eq!(lines(&get(&[("x-beta", "1")]).candidates)[3], "beta: query q want=regular expression [0-9] got=y1");
    let found = get(&[]);
    let winner = found.candidates.last().expect("a winner");
    assert_eq!((winner.hostname.as_str(), winner.listener.as_str()), ("*.com", "l"));
    assert_eq!((found.decision, found.status, found.code.as_str()), ("route", Some(500), "no_backends"));
    assert!(found.nearest.is_empty());
}

#[test]
fn a_request_without_route_is_told_what_came_closest() {
    let router = shop();
    for (request, nearest) in [
        (Request::get("a.com", "/cart/pay/now").method("PUT"), None),
        (Request::get("a.com", "/car"), Some("wide: path PathPrefix want=/cart got=/car")),
        (Request::get("c.org", "/x"), Some("other: hostname  want=b.org got=c.org")),
        (Request::get("a.net", "/cart"), Some("wide: hostname  want=*.com got=a.net")),
    ] {
        let told = explain(&router, &request);
        match nearest {
            None => assert!(told.nearest.is_empty(), "{:?}", lines(&told.nearest)),
            Some(first) => {
                assert_eq!(lines(&told.nearest)[0], first);
                assert_eq!(
                    (told.decision, told.status, told.code.as_str()),
                    ("not_found", Some(404), "route_not_found")
                );
                assert!(told.nearest.len() <= 5);
            }
        }
    }
}

#[test]
fn near_misses_reach_across_listeners() {
    let table = table(
        vec![listener("public", "HTTP", ""), listener("inner", "HTTP", "*.inner")],
        vec![route("HTTPRoute/n/r/0", "inner", &["*"], json!([{"path": {"type": "Exact", "value": "/x"}}]))],
    );
    let told = explain(&Router::build(&table), &Request::get("a.com", "/x"));
    assert_eq!(lines(&told.nearest), ["r: hostname  want=*.inner got=a.com"]);
    assert_eq!((told.listener.as_deref(), told.nearest[0].listener.as_str()), (Some("public"), "inner"));
}

#[test]
fn grpc_candidates_tell_service_method_and_content_type() {
    let grpc = json!([{"grpc": {"service": "p.S", "method": "M"}}, {"grpc": {"service": "p.T"}}]);
    let router = router(vec![route("GRPCRoute/n/g/0", "l", &["*"], grpc)]);
    let told = explain(&router, &Request::grpc("h", "/p.S/N"));
    assert_eq!(lines(&told.candidates), ["g: grpc Exact want=p.S/M got=/p.S/N", "g: grpc Exact want=p.T/* got=/p.S/N"]);
    let told = explain(&router, &Request::get("h", "/p.S/M"));
    assert_eq!(lines(&told.nearest)[0], "g: header content-type want=application/grpc got=nothing");
}

#[test]
fn what_the_gateway_answers_by_itself_is_told() {
    let ruled = |extra: Value| {
        let mut rule = route("HTTPRoute/n/r/0", "l", &["*"], json!([{}]));
        for (field, value) in extra.as_object().expect("fields") {
            rule[field] = value.clone();
        }
        router(vec![rule])
    };
    let broken = json!({"status": 500, "code": "backend_not_found"});
    for (extra, status, code) in [
        (json!({"failure": {"status": 500, "code": "filter_not_resolved"}}), Some(500), "filter_not_resolved"),
        (json!({"filters": [{"type": "RequestRedirect", "status": 301}]}), Some(301), "redirect"),
        (json!({"filters": [{"type": "CORS", "allow_origins": ["*"]}]}), Some(204), "cors_preflight"),
        (json!({}), Some(500), "no_backends"),
        (json!({"backends": [{"failure": broken, "weight": 0}]}), Some(500), "no_backends"),
        (json!({"backends": [{"failure": broken}, {"failure": broken}]}), Some(500), "backend_not_found"),
    ] {
        let asks = [("origin", "https://a.com"), ("access-control-request-method", "PUT")];
        let told = explain(&ruled(extra.clone()), &Request::get("h", "/").method("OPTIONS").headers(&asks));
        assert_eq!((told.status, told.code.as_str()), (status, code), "{extra}");
    }
}

#[test]
fn a_misdirected_request_names_the_listener_that_owns_the_host() {
    let table = table(vec![listener("a", "HTTPS", "a.com"), listener("b", "HTTPS", "b.com")], vec![]);
    let told = explain(&Router::build(&table), &Request::get("b.com", "/").tls(Some("a.com")));
    assert_eq!((told.decision, told.status, told.listener.as_deref()), ("misdirected", Some(421), Some("b")));
}

#[test]
fn the_json_has_the_documented_fields() {
    let told = explain(&shop(), &Request::get("a.com", "/cart/x"));
    let json = serde_json::to_value(&told).expect("JSON");
    let mut fields: Vec<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    fields.sort_unstable();
    let documented = [
        "backends",
        "candidates",
        "code",
        "decision",
        "filters",
        "listener",
        "name",
        "nearest",
        "retry",
        "route",
        "rule_match",
        "socket",
        "status",
        "timeouts",
    ];
    assert_eq!(fields, documented);
    assert_eq!(
        json["candidates"][2],
        json!({"listener": "l", "route": "HTTPRoute/n/post/0", "match": 0, "hostname": "a.com", "matched": false,
               "failed": {"predicate": "method", "name": "", "want": "POST", "got": "GET"}})
    );
}

#[test]
fn an_explanation_stays_short_among_thousands_of_routes() {
    let routes = (0..2000).map(|i| {
        let path = json!([{"path": {"type": "PathPrefix", "value": format!("/{i:04}")}}]);
        route(&format!("HTTPRoute/n/r{i:04}/0"), "l", &["*"], path)
    });
    let told = explain(&router(routes.collect()), &Request::get("h", "/199x"));
    assert_eq!((told.candidates.len(), told.nearest.len()), (50, 5));
    assert!(lines(&told.candidates).iter().any(|line| line == "r1999: path PathPrefix want=/1999 got=/199x"));
}
