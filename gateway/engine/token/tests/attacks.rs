//! Tokens with real signatures, against those who would pass without one: what counts, until when, and for whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, Version};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use sekisho_codec::{Headers, RequestHead, Scheme};
use sekisho_table::RequestAuthentication;
use sekisho_token::{AuthenticationSet, Fault, Refusal, TokenCache};
use serde_json::{Value, json};

const NOW: f64 = 1_000_000.0;
const ISSUER: &str = "https://issuer.example";

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Signer {
    pair: EcdsaKeyPair,
    id: &'static str,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random);
        Self { pair: pair.expect("a key pair"), id }
    }

    fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": encoded(&point[1..33]), "y": encoded(&point[33..])})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", encoded(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": self.id}), claims)
    }
}

fn claims(more: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "sub": "alice", "exp": NOW + 600.0});
    if let (Value::Object(all), Value::Object(more)) = (&mut claims, more) {
        all.extend(more);
    }
    claims
}

/// A policy `a/one` of one rule: the signer's key, and what else the rule has.
fn set(signer: &Signer, more: Value) -> AuthenticationSet {
    let mut rule = json!({"issuer": ISSUER, "keys": json!({"keys": [signer.public()]}).to_string()});
    if let (Value::Object(rule), Value::Object(more)) = (&mut rule, more) {
        rule.extend(more);
    }
    of(json!([rule]))
}

fn of(rules: Value) -> AuthenticationSet {
    let policy: RequestAuthentication = serde_json::from_value(json!({"key": "a/one", "rules": rules})).expect("rules");
    AuthenticationSet::of(&["a/one".to_owned()], &BTreeMap::from([("a/one".to_owned(), Arc::new(policy))]))
}

fn head(target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut headers = Headers::default();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    RequestHead {
        method: Method::GET,
        scheme: Scheme::Http,
        authority: HeaderValue::from_static("shop.example"),
        target: Bytes::copy_from_slice(target.as_bytes()),
        version: Version::HTTP_11,
        headers,
    }
}

fn bearer(token: &str) -> RequestHead {
    head("/", &[("authorization", &format!("Bearer {token}"))])
}

/// The principal, or the fault.
fn asked(set: &AuthenticationSet, cache: &mut TokenCache, token: &str, now: f64) -> Result<String, Fault> {
    match set.authenticate(&mut bearer(token), now, cache) {
        Ok(passed) => Ok(passed.token.expect("a token").principal.clone()),
        Err(Refusal::Token { fault, .. }) => Err(fault),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

fn fault(set: &AuthenticationSet, token: &str) -> Option<Fault> {
    asked(set, &mut TokenCache::default(), token, NOW).err()
}

#[test]
fn a_token_that_was_proved_before_still_expires() {
    let signer = Signer::new("one");
    let (set, mut cache) = (set(&signer, json!({})), TokenCache::default());
    let token = signer.token(&claims(json!({"exp": NOW + 10.0})));
    let want = Ok(format!("{ISSUER}/alice"));
    assert_eq!(asked(&set, &mut cache, &token, NOW), want);
    assert_eq!(asked(&set, &mut cache, &token, NOW + 69.0), want);
    assert_eq!(cache.len(), 1);
    assert_eq!(asked(&set, &mut cache, &token, NOW + 70.0), Err(Fault::Expired));
}

#[test]
fn a_token_that_was_proved_before_falls_with_its_key() {
    let (before, after) = (Signer::new("one"), Signer::new("one"));
    let (old, new) = (set(&before, json!({})), set(&after, json!({})));
    let (mut cache, token) = (TokenCache::default(), before.token(&claims(json!({}))));
    assert!(asked(&old, &mut cache, &token, NOW).is_ok());
    assert_eq!(asked(&new, &mut cache, &token, NOW), Err(Fault::Unverified));
}

#[test]
fn refused_tokens_take_no_room() {
    let (signer, stranger) = (Signer::new("one"), Signer::new("one"));
    let (set, mut cache) = (set(&signer, json!({})), TokenCache::default());
    for number in 0..100 {
        let token = stranger.token(&claims(json!({"sub": number.to_string()})));
        assert_eq!(asked(&set, &mut cache, &token, NOW), Err(Fault::Unverified));
    }
    assert!(cache.is_empty());
}

#[test]
fn every_changed_character_of_a_token_is_noticed() {
    let signer = Signer::new("one");
    let set = set(&signer, json!({}));
    let token = signer.token(&claims(json!({})));
    assert_eq!(fault(&set, &token), None);
    for position in 0..token.len() {
        for other in [b'A', b'z', b'.', b'='] {
            let mut changed = token.clone().into_bytes();
            if changed[position] == other {
                continue;
            }
            changed[position] = other;
            let changed = String::from_utf8(changed).expect("text");
            assert!(fault(&set, &changed).is_some(), "{position}: {changed}");
        }
    }
    for length in 0..token.len() {
        assert!(fault(&set, &token[..length]).is_some(), "{length}");
    }
}

#[test]
fn the_signature_goes_with_its_own_claims_alone() {
    let signer = Signer::new("one");
    let set = set(&signer, json!({}));
    let (mine, other) = (signer.token(&claims(json!({}))), signer.token(&claims(json!({"sub": "root"}))));
    let (wanted, _) = other.rsplit_once('.').expect("parts");
    let (_, signature) = mine.rsplit_once('.').expect("parts");
    assert_eq!(fault(&set, &format!("{wanted}.{signature}")), Some(Fault::Unverified));
}

#[test]
fn an_algorithm_that_the_key_is_not_for_is_none() {
    let signer = Signer::new("one");
    let set = set(&signer, json!({}));
    for algorithm in ["none", "None", "", "HS256", "RS256", "PS256", "ES384", "EdDSA", "es256", "ES256 "] {
        let token = signer.sign(&json!({"alg": algorithm, "kid": "one"}), &claims(json!({})));
        assert_eq!(fault(&set, &token), Some(Fault::Unverified), "{algorithm}");
        let (signed, _) = token.rsplit_once('.').expect("parts");
        assert!(fault(&set, &format!("{signed}.")).is_some(), "{algorithm}");
    }
}

#[test]
fn a_key_of_another_name_is_not_tried() {
    let signer = Signer::new("one");
    let set = set(&signer, json!({}));
    for name in ["two", "", "ONE"] {
        let token = signer.sign(&json!({"alg": "ES256", "kid": name}), &claims(json!({})));
        assert_eq!(fault(&set, &token), Some(Fault::Unverified), "{name}");
    }
    let unnamed = signer.sign(&json!({"alg": "ES256"}), &claims(json!({})));
    assert_eq!(fault(&set, &unnamed), None);
}

#[test]
fn one_issuer_s_key_proves_nothing_of_another() {
    let (one, two) = (Signer::new("k"), Signer::new("k"));
    let keys = |signer: &Signer| json!({"keys": [signer.public()]}).to_string();
    let set = of(json!([{"issuer": ISSUER, "keys": keys(&one)}, {"issuer": "https://two", "keys": keys(&two)}]));
    assert_eq!(fault(&set, &one.token(&claims(json!({})))), None);
    assert_eq!(fault(&set, &two.token(&claims(json!({"iss": "https://two"})))), None);
    assert_eq!(fault(&set, &two.token(&claims(json!({})))), Some(Fault::Unverified));
    for issuer in [json!("https://issuer.example/"), json!("HTTPS://issuer.example"), json!([ISSUER]), json!(null)] {
        let token = one.token(&claims(json!({"iss": issuer})));
        assert_eq!(fault(&set, &token), Some(Fault::UnknownIssuer), "{issuer}");
    }
}

#[test]
fn a_signed_token_is_still_for_its_audience_and_its_time() {
    let signer = Signer::new("one");
    let set = set(&signer, json!({"audiences": ["shop"]}));
    for (more, want) in [
        (json!({"aud": "shop"}), None),
        (json!({"aud": ["bank", "shop"]}), None),
        (json!({"aud": "bank"}), Some(Fault::Audience)),
        (json!({"aud": "shop "}), Some(Fault::Audience)),
        (json!({"aud": [["shop"]]}), Some(Fault::Audience)),
        (json!({}), Some(Fault::Audience)),
        (json!({"aud": "shop", "exp": NOW - 60.0}), Some(Fault::Expired)),
        (json!({"aud": "shop", "nbf": NOW + 61.0}), Some(Fault::NotYetValid)),
        (json!({"aud": "shop", "exp": (NOW + 600.0).to_string()}), Some(Fault::Malformed)),
    ] {
        assert_eq!(fault(&set, &signer.token(&claims(more.clone()))), want, "{more}");
    }
}

#[test]
fn a_bad_token_is_not_excused_by_a_good_one_beside_it() {
    let (signer, stranger) = (Signer::new("one"), Signer::new("one"));
    let set = set(&signer, json!({}));
    let (good, bad) = (signer.token(&claims(json!({}))), stranger.token(&claims(json!({"sub": "root"}))));
    for (header, parameter) in [(&good, &bad), (&bad, &good)] {
        let value = format!("Bearer {header}");
        let mut head = head(&format!("/?access_token={parameter}"), &[("authorization", &value)]);
        let refusal = set.authenticate(&mut head, NOW, &mut TokenCache::default()).expect_err("a refusal");
        assert_eq!(refusal, Refusal::Token { fault: Fault::Unverified, rule: Some("a/one/0".to_owned()) });
    }
}

#[test]
fn headers_of_claims_are_nobody_else_s_to_write_however_they_are_spelled() {
    let signer = Signer::new("one");
    let outputs = json!({"output_payload_to_header": "x-jwt-payload",
                         "output_claim_to_headers": [{"header": "x-jwt-sub", "claim": "sub"},
                                                     {"header": "x-jwt-role", "claim": "role"}]});
    let set = set(&signer, outputs);
    let spoofed = [("X-Jwt-Sub", "root"), ("x_jwt_sub", "root"), ("x-jwt_role", "admin"), ("X-JWT-Payload", "e30")];
    let mut anonymous = head("/", &spoofed);
    let passed = set.authenticate(&mut anonymous, NOW, &mut TokenCache::default()).expect("no token passes");
    assert!(passed.changed && passed.token.is_none());
    assert!(anonymous.headers.is_empty());

    let value = format!("Bearer {}", signer.token(&claims(json!({"role": "a\nx-admin: 1"}))));
    let mut known = head("/", &[&spoofed[..], &[("authorization", value.as_str())]].concat());
    set.authenticate(&mut known, NOW, &mut TokenCache::default()).expect("a good token");
    let values = |name: &'static str| {
        let name = HeaderName::from_static(name);
        known.headers.get_all(&name).map(|value| value.to_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values("x-jwt-sub"), ["alice"]);
    // A claim that would begin a new line is no value of a header.
    assert_eq!((values("x-jwt-role"), values("x-admin")), (vec![], vec![]));
    assert_eq!(known.headers.len(), 2);
    assert!(!known.headers.contains(&AUTHORIZATION));
}

#[test]
fn bytes_of_any_kind_are_refused_and_never_panic() {
    let signer = Signer::new("one");
    let set = set(&signer, json!({}));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..2000 {
        let size = next() % 200;
        let text: String = (0..size).map(|_| char::from(b"aZ09-_.=%+ {}\"[,:"[(next() % 17) as usize])).collect();
        if text.trim().is_empty() {
            continue;
        }
        assert!(fault(&set, &text).is_some(), "{text}");
        let part = encoded(&text);
        assert!(fault(&set, &format!("{part}.{part}.{part}")).is_some(), "{text}");
    }
}
