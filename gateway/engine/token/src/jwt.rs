//! A token taken apart: three parts of base64url with dots between them (RFC 7515, section 7.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Longer tokens are refused unread.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Of the protected header, what decides; `jku`, `jwk`, `x5u` and their like are never followed.
#[derive(Debug, Deserialize)]
pub struct Header {
    pub alg: String,
    #[serde(default)]
    pub kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, section 4.1.11): none are.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// A token that can be read; nothing is proved.
#[derive(Debug)]
pub struct Jwt<'a> {
    pub header: Header,
    pub claims: serde_json::Value,
    /// What is signed.
    pub signed: &'a str,
    pub signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// `None` for what is no token, or one that asks for what is not understood.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&decode(payload)?).ok()?;
        if header.crit.is_some() || !claims.is_object() {
            return None;
        }
        Some(Self { header, claims, signed, signature: decode(signature)? })
    }

    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

/// Base64url without padding, in its one spelling.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()), encode(b"signature"))
    }

    #[test]
    fn a_token_is_taken_apart() {
        let text = token(r#"{"alg":"RS256","kid":"one"}"#, r#"{"iss":"https://issuer"}"#);
        let jwt = Jwt::parse(&text).expect("a token");
        assert_eq!((jwt.header.alg.as_str(), jwt.header.kid.as_deref()), ("RS256", Some("one")));
        assert_eq!((jwt.issuer(), jwt.signature.as_slice()), (Some("https://issuer"), b"signature".as_slice()));
        assert_eq!(format!("{}.{}", jwt.signed, encode(b"signature")), text);
    }

    #[test]
    fn what_is_no_token_or_not_understood_is_none() {
        let good = token(r#"{"alg":"RS256"}"#, "{}");
        let padded = good.replacen('.', "=.", 1);
        for text in [
            "",
            "..",
            "a.b",
            &token("{}", "{}"),
            &token(r#"{"alg":"RS256"}"#, "[]"),
            &token(r#"{"alg":"RS256"}"#, "1"),
            &token(r#"{"alg":["RS256"]}"#, "{}"),
            &token(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "{}"),
            &token(r#"{"alg":"RS256","kid":1}"#, "{}"),
            &padded,
            &format!("{good}.more"),
            &format!(" {good}"),
        ] {
            assert!(Jwt::parse(text).is_none(), "{text}");
        }
        assert!(Jwt::parse(&good).is_some());
    }

    #[test]
    fn a_huge_token_and_a_deep_one_are_refused_unread() {
        let huge = token(r#"{"alg":"RS256"}"#, &format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_TOKEN_BYTES)));
        assert!(Jwt::parse(&huge).is_none());
        let deep = token(r#"{"alg":"RS256"}"#, &format!(r#"{{"a":{}{}}}"#, "[".repeat(4000), "]".repeat(4000)));
        assert!(Jwt::parse(&deep).is_none());
    }
}
