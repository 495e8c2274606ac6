//! Requests and connections as test cases write them.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use sekisho_codec::{Headers, authority};
use sekisho_policy::{Facts, Http, Peer, Token};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    pub method: String,
    pub host: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub from: Option<String>,
    pub source: IpAddr,
    pub remote: Option<IpAddr>,
    pub destination: IpAddr,
    pub port: u16,
    pub sni: Option<String>,
    pub token: Option<Bearer>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    principal: String,
    audiences: Vec<String>,
    presenter: String,
    claims: serde_json::Value,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            host: "shop.example".into(),
            path: "/".into(),
            headers: Vec::new(),
            from: None,
            source: IpAddr::from([192, 0, 2, 1]),
            remote: None,
            destination: IpAddr::from([198, 51, 100, 1]),
            port: 80,
            sni: None,
            token: None,
        }
    }
}

/// A call with what facts borrow from.
pub struct Prepared<'a> {
    call: &'a Call,
    peer: Option<Peer>,
    headers: Headers,
    token: Option<Token>,
    host: String,
}

impl Call {
    pub fn prepare(&self) -> Prepared<'_> {
        let mut headers = Headers::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).expect("a header name");
            headers.append(name, HeaderValue::try_from(value).expect("a header value"));
        }
        let (host, _) = authority::split(&self.host).expect("an authority");
        Prepared {
            call: self,
            peer: self.from.as_deref().map(|uri| Peer::new(uri).expect("an identity")),
            headers,
            token: self.token.clone().map(|bearer| Token {
                principal: bearer.principal,
                audiences: bearer.audiences,
                presenter: bearer.presenter,
                claims: bearer.claims,
            }),
            host: authority::host_lower(host).into_owned(),
        }
    }
}

impl Prepared<'_> {
    pub fn facts(&self, is_request: bool) -> Facts<'_> {
        let call = self.call;
        Facts {
            peer: self.peer.as_ref(),
            source: call.source,
            remote: call.remote.unwrap_or(call.source),
            destination: call.destination,
            port: call.port,
            sni: call.sni.as_deref(),
            http: is_request.then(|| Http {
                method: &call.method,
                authority: &call.host,
                host: &self.host,
                path: &call.path,
                headers: &self.headers,
                token: self.token.as_ref(),
            }),
        }
    }
}
