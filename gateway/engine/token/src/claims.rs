//! What a proved token says, as policies and headers look at it.

use sekisho_policy::Token;
use serde_json::Value;

/// The facts of a token's claims. Without issuer or subject there is no principal, as in Istio.
pub fn facts(claims: Value) -> Token {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let (issuer, subject) = (text("iss"), text("sub"));
    let principal = if issuer.is_empty() || subject.is_empty() { String::new() } else { format!("{issuer}/{subject}") };
    Token { principal, audiences: audiences(&claims), presenter: text("azp").to_owned(), claims }
}

/// `aud`: one text, or a list of them (RFC 7519, section 4.1.3).
pub fn audiences(claims: &Value) -> Vec<String> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A claim by its path, `a.b`; a name with dots in it is found first.
pub fn find<'a>(claims: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    path.split('.').try_fold(claims, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_principal_needs_issuer_and_subject() {
        assert_eq!(facts(json!({"iss": "a", "sub": "b", "azp": "c"})).principal, "a/b");
        assert_eq!(facts(json!({"iss": "a"})).principal, "");
        assert_eq!(facts(json!({"iss": "a", "sub": 7})).principal, "");
    }

    #[test]
    fn audiences_are_one_or_several() {
        assert_eq!(audiences(&json!({"aud": "a"})), ["a"]);
        assert_eq!(audiences(&json!({"aud": ["a", 1, "b"]})), ["a", "b"]);
        assert!(audiences(&json!({"aud": {"a": "b"}})).is_empty());
    }

    #[test]
    fn claims_are_found_by_path() {
        let claims = json!({"a": {"b": 1}, "a.c": 2});
        assert_eq!(find(&claims, "a.b"), Some(&json!(1)));
        assert_eq!(find(&claims, "a.c"), Some(&json!(2)));
        assert_eq!(find(&claims, "a.d"), None);
    }
}
