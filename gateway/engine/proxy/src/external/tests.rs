//! What a service is told, and what of its answer counts.

use super::*;
use sekisho_codec::Scheme;

fn provider(settings: serde_json::Value) -> Provider {
    let mut all = serde_json::json!({"backend": "Service/default/guard/80"});
    let fields = settings.as_object().expect("an object").clone();
    all.as_object_mut().expect("an object").extend(fields);
    Provider::new(&serde_json::from_value(all).expect("settings"), &BackendSpecs::default())
}

fn headers(fields: &[(&'static str, &'static str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn request(method: Method, target: &'static str, fields: &[(&'static str, &'static str)]) -> RequestHead {
    RequestHead {
        method,
        scheme: Scheme::Https,
        authority: HeaderValue::from_static("shop.example"),
        target: Bytes::from_static(target.as_bytes()),
        version: Version::HTTP_2,
        headers: headers(fields),
    }
}

fn text(headers: &Headers) -> Vec<(String, String)> {
    let fields = headers.iter();
    fields.map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect()
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (String::from(*name), String::from(*value))).collect()
}

#[test]
fn a_service_is_told_method_host_path_credentials_and_what_is_listed() {
    let guard = provider(serde_json::json!({
        "path_prefix": "/check",
        "request_headers": ["cookie", "x-team-*"],
        "additional_headers": [{"name": "x-team-gateway", "value": "edge"}],
    }));
    let head = request(
        Method::POST,
        "/cart?id=7",
        &[
            ("authorization", "Bearer a"),
            ("cookie", "s=1"),
            ("x-team-name", "blue"),
            ("x-team-gateway", "forged"),
            ("x-secret", "no"),
            ("content-length", "12"),
        ],
    );
    let question = guard.question(&head);
    assert_eq!((question.method, question.target), (Method::POST, Bytes::from_static(b"/check/cart?id=7")));
    assert_eq!(question.authority, "shop.example");
    let want = [("authorization", "Bearer a"), ("cookie", "s=1"), ("x-team-name", "blue"), ("x-team-gateway", "edge")];
    let mut told = text(&question.headers);
    told.sort();
    let mut want = pairs(&want);
    want.sort();
    assert_eq!(told, want);
}

#[test]
fn headers_that_frame_a_message_are_never_shown() {
    let guard = provider(serde_json::json!({"request_headers": ["*"]}));
    let head = request(
        Method::GET,
        "/",
        &[("content-length", "12"), ("expect", "100-continue"), ("te", "trailers"), ("x-a", "1")],
    );
    assert_eq!(text(&guard.question(&head).headers), pairs(&[("x-a", "1")]));
}

#[test]
fn a_connect_is_asked_about_as_a_get() {
    let question = provider(serde_json::json!({})).question(&request(Method::CONNECT, "", &[]));
    assert_eq!((question.method, question.target), (Method::GET, Bytes::from_static(b"/")));
}

#[test]
fn only_the_service_says_what_only_it_may_say() {
    let guard = provider(serde_json::json!({"upstream_headers": ["x-user", "x-auth-*", "authorization"]}));
    let mut head =
        headers(&[("x-user", "root"), ("x-auth-role", "admin"), ("authorization", "Bearer a"), ("x-b", "1")]);
    guard.allow(&headers(&[("x-user", "ann"), ("x-other", "2")]), &mut head);
    assert_eq!(text(&head), pairs(&[("authorization", "Bearer a"), ("x-b", "1"), ("x-user", "ann")]));
}

#[test]
fn all_headers_of_an_answer_but_those_of_the_answer_itself() {
    let guard = provider(serde_json::json!({"upstream_headers": ["*"]}));
    let mut head = headers(&[("x-user", "root"), ("content-type", "text/csv")]);
    let answer = headers(&[
        ("x-user", "ann"),
        ("content-type", "text/html"),
        ("content-length", "3"),
        ("date", "today"),
        ("connection", "close"),
    ]);
    guard.allow(&answer, &mut head);
    assert_eq!(text(&head), pairs(&[("content-type", "text/csv"), ("x-user", "ann")]));
}

#[test]
fn a_client_is_told_what_is_listed_and_the_type_of_the_content() {
    let guard = provider(serde_json::json!({
        "downstream_headers_on_deny": ["location", "*-challenge"],
        "downstream_headers_on_allow": ["set-cookie"],
    }));
    let answer = headers(&[
        ("location", "/login"),
        ("x-challenge", "c"),
        ("x-internal", "no"),
        ("content-type", "text/html"),
        ("set-cookie", "s=1"),
    ]);
    let want = [("location", "/login"), ("x-challenge", "c"), ("content-type", "text/html")];
    assert_eq!(text(&guard.denial(&answer)), pairs(&want));
    let mut response = headers(&[("set-cookie", "a=1")]);
    add_to_response(&mut response, &guard.for_response(&answer));
    assert_eq!(text(&response), pairs(&[("set-cookie", "a=1"), ("set-cookie", "s=1")]));
}
