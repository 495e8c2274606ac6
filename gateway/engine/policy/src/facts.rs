//! What a decision looks at: borrowed, so that gathering it costs nothing.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;
use sekisho_codec::Headers;

use crate::peer::Peer;

/// A connection, and what it asks for where it carries requests.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// From a certificate that was verified; of nothing else.
    pub peer: Option<&'a Peer>,
    /// The other end of the connection.
    pub source: IpAddr,
    /// The client, as far as the hops before the gateway are trusted.
    pub remote: IpAddr,
    pub destination: IpAddr,
    /// The port that the client dialled.
    pub port: u16,
    /// Lower case.
    pub sni: Option<&'a str>,
    /// `None` for a connection that carries no requests.
    pub http: Option<Http<'a>>,
}

/// A request, as it is routed.
#[derive(Clone, Copy, Debug)]
pub struct Http<'a> {
    pub method: &'a str,
    /// As it was sent.
    pub authority: &'a str,
    /// Lower case, without port or final dot.
    pub host: &'a str,
    /// Normalised, without query.
    pub path: &'a str,
    pub headers: &'a Headers,
    pub token: Option<&'a Token>,
}

impl Http<'_> {
    /// All values of a header as one, joined by commas: a policy must not look at the first alone.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<String> {
        let mut values = self.headers.get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut joined = values.next()?.into_owned();
        for value in values {
            joined.push(',');
            joined.push_str(&value);
        }
        Some(joined)
    }
}

/// What a verified token says of its bearer.
#[derive(Clone, Debug, Default)]
pub struct Token {
    /// `issuer/subject`.
    pub principal: String,
    pub audiences: Vec<String>,
    pub presenter: String,
    pub claims: serde_json::Value,
}

impl Token {
    /// The texts of a claim: one, several of a list, or those that spaces separate where RFC 8693 has it so.
    pub(crate) fn claim<'a>(&'a self, path: &[Box<str>]) -> Vec<Cow<'a, str>> {
        let mut value = &self.claims;
        for name in path {
            match value.get(&**name) {
                Some(inner) => value = inner,
                None => return Vec::new(),
            }
        }
        match value {
            serde_json::Value::String(text) if matches!(path, [name] if matches!(&**name, "scope" | "permission")) => {
                text.split(' ').filter(|part| !part.is_empty()).map(Cow::Borrowed).collect()
            }
            serde_json::Value::Array(items) => items.iter().filter_map(scalar).collect(),
            other => scalar(other).into_iter().collect(),
        }
    }
}

fn scalar(value: &serde_json::Value) -> Option<Cow<'_, str>> {
    match value {
        serde_json::Value::String(text) => Some(Cow::Borrowed(text)),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Some(Cow::Owned(value.to_string())),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    }
}
