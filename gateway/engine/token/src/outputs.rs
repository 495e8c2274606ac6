//! What of a proved token goes to the backend in headers. Those headers are nobody else's to write.

use http::header::{HeaderName, HeaderValue};
use sekisho_codec::RequestHead;
use sekisho_table::TokenRule;
use serde_json::Value;

use crate::claims;
use crate::jwt::encode;

/// Longer values are left out: a backend must not be made to refuse the head.
const MAX_VALUE_BYTES: usize = 8 * 1024;

#[derive(Debug, Default)]
pub struct Outputs {
    payload: Option<HeaderName>,
    claims: Box<[(HeaderName, Box<str>)]>,
}

impl Outputs {
    pub fn new(rule: &TokenRule) -> Self {
        let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).ok();
        let claims = rule.output_claim_to_headers.iter();
        Self {
            payload: name(&rule.output_payload_to_header),
            claims: claims.filter_map(|it| Some((name(&it.header)?, it.claim.as_str().into()))).collect(),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.payload.iter().chain(self.claims.iter().map(|(name, _)| name))
    }

    /// `payload`: as the token has it.
    pub fn write(&self, head: &mut RequestHead, payload: &str, values: &Value) {
        if let Some(name) = &self.payload {
            set(head, name, payload.to_owned());
        }
        for (name, claim) in &self.claims {
            if let Some(value) = claims::find(values, claim).and_then(text) {
                set(head, name, value);
            }
        }
    }
}

/// A claim as text: lists and objects in base64url of their JSON, as Envoy writes them.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(claim.to_string()),
        Value::Array(_) | Value::Object(_) => Some(encode(claim.to_string().as_bytes())),
    }
}

fn set(head: &mut RequestHead, name: &HeaderName, value: String) {
    if value.len() <= MAX_VALUE_BYTES
        && let Ok(value) = HeaderValue::try_from(value)
    {
        head.headers.set(name.clone(), value);
    }
}

/// Takes the headers away from a request; true where there was one. Backends that make variables of headers take `_`
/// for `-`, so that spelling goes too.
pub fn strip(head: &mut RequestHead, names: &[HeaderName]) -> bool {
    let before = head.headers.len();
    if names.iter().any(|name| head.headers.lines().any(|(other, _)| same(other, name))) {
        head.headers.retain_names(|other| !names.iter().any(|name| same(other, name)));
    }
    head.headers.len() < before
}

fn same(one: &[u8], other: &HeaderName) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let other = other.as_str().as_bytes();
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| plain(*a) == plain(*b))
}
