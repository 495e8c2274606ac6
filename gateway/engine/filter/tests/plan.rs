//! Whole plans: the order of the list is the order of execution.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode, Version};
use sekisho_codec::message::{Headers, RequestHead, ResponseHead, Scheme};
use sekisho_filter::{FilterPlan, RequestContext, ResponseContext, Verdict};
use sekisho_table::Filter;

fn plan(filters: &str) -> FilterPlan {
    let filters: Vec<Filter> = serde_json::from_str(filters).expect("filters");
    FilterPlan::compile(&filters)
}

fn request(method: Method, headers: &[(&'static str, &'static str)]) -> RequestHead {
    let mut list = Headers::default();
    headers
        .iter()
        .for_each(|(name, value)| list.append(HeaderName::from_static(name), HeaderValue::from_static(value)));
    RequestHead {
        method,
        scheme: Scheme::Http,
        authority: HeaderValue::from_static("example.com"),
        target: Bytes::from_static(b"/old/x?q=1"),
        version: Version::HTTP_11,
        headers: list,
    }
}

const CONTEXT: RequestContext<'_> =
    RequestContext { matched_prefix: Some("/old"), listener_port: 80, host: "example.com", scheme: Scheme::Http };

#[test]
fn an_empty_plan_leaves_everything_alone() {
    let plan = FilterPlan::compile(&[]);
    assert!(plan.is_empty() && !plan.needs_origin() && plan.mirrors().is_empty());
    let mut head = request(Method::GET, &[("x-a", "1")]);
    assert!(matches!(plan.on_request(&CONTEXT, &mut head), Verdict::Continue));
    assert_eq!((head.target_str(), head.headers.len()), ("/old/x?q=1", 1));
}

#[test]
fn request_filters_run_in_the_order_of_the_list() {
    let plan = plan(
        r#"[{"type": "RequestHeaderModifier", "set": [{"name": "x-step", "value": "1"}]},
            {"type": "RequestHeaderModifier", "add": [{"name": "x-step", "value": "2"}]},
            {"type": "URLRewrite", "hostname": "in.example", "path": {"type": "ReplacePrefixMatch", "value": "/new"}},
            {"type": "RequestMirror", "backend": "b"}]"#,
    );
    let mut head = request(Method::GET, &[("x-step", "0")]);
    assert!(matches!(plan.on_request(&CONTEXT, &mut head), Verdict::Continue));
    let steps: Vec<_> = head.headers.iter().map(|(_, value)| value.to_str().expect("ASCII")).collect();
    assert_eq!(steps, ["1", "2"]);
    assert_eq!((head.target_str(), head.authority.as_bytes()), ("/new/x?q=1", &b"in.example"[..]));
    assert_eq!(plan.mirrors().len(), 1);
    assert!(!plan.is_empty());
}

#[test]
fn a_preflight_is_answered_before_a_redirect_that_comes_later() {
    let plan = plan(
        r#"[{"type": "CORS", "allow_origins": ["*"]}, {"type": "RequestRedirect", "scheme": "https", "status": 301}]"#,
    );
    assert!(plan.needs_origin());
    let asks = [("origin", "https://a.com"), ("access-control-request-method", "GET")];
    for (method, reason, status) in [
        (Method::OPTIONS, "cors_preflight", StatusCode::NO_CONTENT),
        (Method::GET, "redirect", StatusCode::MOVED_PERMANENTLY),
    ] {
        let Verdict::Respond(answer) = plan.on_request(&CONTEXT, &mut request(method, &asks)) else {
            panic!("not answered");
        };
        assert_eq!((answer.reason, answer.status), (reason, status));
        assert_eq!(answer.headers.contains(&LOCATION), reason == "redirect");
    }
}

#[test]
fn response_filters_run_in_the_order_of_the_list() {
    let plan = plan(
        r#"[{"type": "CORS", "allow_origins": ["https://a.com"]},
            {"type": "ResponseHeaderModifier", "set": [{"name": "vary", "value": "accept"}], "remove": ["server"]}]"#,
    );
    let mut headers = Headers::default();
    headers.append(http::header::SERVER, HeaderValue::from_static("backend"));
    let mut head = ResponseHead { status: StatusCode::OK, headers };
    let origin = HeaderValue::from_static("https://a.com");
    plan.on_response(&ResponseContext { origin: Some(&origin) }, &mut head);
    let listed: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(listed, [("access-control-allow-origin", &b"https://a.com"[..]), ("vary", &b"accept"[..])]);
}

#[test]
fn a_redirect_passes_the_filters_for_responses() {
    let plan = plan(
        r#"[{"type": "RequestRedirect", "scheme": "https"},
            {"type": "CORS", "allow_origins": ["https://a.com"]},
            {"type": "ResponseHeaderModifier", "set": [{"name": "x-from", "value": "edge"}]}]"#,
    );
    let mut head = request(Method::GET, &[("origin", "https://a.com")]);
    let Verdict::Respond(answer) = plan.on_request(&CONTEXT, &mut head) else { panic!("not answered") };
    let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["location", "access-control-allow-origin", "vary", "x-from"]);
}

#[test]
fn credentials_are_set_when_they_are_asked_for_and_not_by_the_other_filters() {
    let plan = plan(
        r#"[{"type": "CredentialInjection", "headers": [{"name": "authorization", "value": "Bearer secret"}]},
            {"type": "RequestHeaderModifier", "set": [{"name": "authorization", "value": "of the rule"}]}]"#,
    );
    let mut head = request(Method::GET, &[("authorization", "of the client"), ("authorization", "another")]);
    assert!(matches!(plan.on_request(&CONTEXT, &mut head), Verdict::Continue));
    assert_eq!(head.headers.get(&http::header::AUTHORIZATION).expect("a header"), "of the rule");
    plan.inject(&mut head.headers);
    let values: Vec<_> = head.headers.get_all(&http::header::AUTHORIZATION).collect();
    assert_eq!(values, ["Bearer secret"]);
    assert!(values[0].is_sensitive());
    assert!(!format!("{plan:?}").contains("secret"), "{plan:?}");
}

#[test]
fn a_credential_does_not_show_itself() {
    let filters =
        r#"[{"type": "CredentialInjection", "headers": [{"name": "authorization", "value": "Bearer secret"}]}]"#;
    let filters: Vec<Filter> = serde_json::from_str(filters).expect("filters");
    assert!(!format!("{filters:?}").contains("secret"));
}
