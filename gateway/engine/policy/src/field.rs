//! One field of a rule with the values it may or must not have, prepared.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;
use sekisho_table::AuthorizationCondition;

use crate::addresses::AddressSet;
use crate::facts::{Facts, Http};
use crate::template::{Template, is_template};
use crate::text::TextSet;

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Principal,
    Namespace,
    ServiceAccount,
    Source,
    Remote,
    RequestPrincipal,
    Host,
    Port,
    Method,
    Path,
    Header(HeaderName),
    Audience,
    Presenter,
    Claim(Box<[Box<str>]>),
    Destination,
    Sni,
}

impl Field {
    /// The field of a condition; `None` for one that is unknown.
    pub fn of_condition(key: &str) -> Option<Self> {
        Some(match key {
            "source.ip" => Self::Source,
            "remote.ip" => Self::Remote,
            "source.namespace" => Self::Namespace,
            "source.principal" => Self::Principal,
            "source.serviceAccount" => Self::ServiceAccount,
            "request.auth.principal" => Self::RequestPrincipal,
            "request.auth.audiences" => Self::Audience,
            "request.auth.presenter" => Self::Presenter,
            "destination.ip" => Self::Destination,
            "destination.port" => Self::Port,
            "connection.sni" => Self::Sni,
            _ => {
                if let Some(name) = bracketed(key, "request.headers") {
                    return HeaderName::from_bytes(name.as_bytes()).ok().map(Self::Header);
                }
                let path = bracketed(key, "request.auth.claims")?;
                Self::Claim(path.split("][").map(Into::into).collect())
            }
        })
    }

    /// Only requests have it.
    pub fn is_of_requests(&self) -> bool {
        match self {
            Self::RequestPrincipal
            | Self::Host
            | Self::Method
            | Self::Path
            | Self::Header(_)
            | Self::Audience
            | Self::Presenter
            | Self::Claim(_) => true,
            Self::Principal
            | Self::Namespace
            | Self::ServiceAccount
            | Self::Source
            | Self::Remote
            | Self::Port
            | Self::Destination
            | Self::Sni => false,
        }
    }

    fn address(&self, facts: &Facts<'_>) -> Option<IpAddr> {
        match self {
            Self::Source => Some(facts.source),
            Self::Remote => Some(facts.remote),
            Self::Destination => Some(facts.destination),
            _ => None,
        }
    }

    /// The one text that the facts have for this field.
    fn text<'a>(&self, facts: &Facts<'a>) -> Option<Cow<'a, str>> {
        let http = || facts.http.as_ref();
        let text = match self {
            Self::Principal => facts.peer?.principal(),
            Self::Namespace => facts.peer?.namespace()?,
            Self::ServiceAccount => facts.peer?.service_account()?,
            Self::Sni => facts.sni?,
            Self::Host => http()?.host,
            Self::Method => http()?.method,
            Self::Path => http()?.path,
            Self::RequestPrincipal => some(&http()?.token?.principal)?,
            Self::Presenter => some(&http()?.token?.presenter)?,
            Self::Header(name) => return http()?.header(name).map(Cow::Owned),
            Self::Source | Self::Remote | Self::Destination => return Some(self.address(facts)?.to_string().into()),
            Self::Port => return Some(facts.port.to_string().into()),
            Self::Audience | Self::Claim(_) => {
                let several = self.texts(http()?);
                return (!several.is_empty()).then(|| several.join(", ").into());
            }
        };
        Some(Cow::Borrowed(text))
    }

    /// The texts of a field that may have several.
    fn texts<'a>(&self, http: &Http<'a>) -> Vec<Cow<'a, str>> {
        match (self, http.token) {
            (Self::Audience, Some(token)) => token.audiences.iter().map(|text| Cow::Borrowed(text.as_str())).collect(),
            (Self::Claim(path), Some(token)) => token.claim(path),
            _ => Vec::new(),
        }
    }

    /// What a person is shown of the facts.
    pub fn shown(&self, facts: &Facts<'_>) -> Option<String> {
        match self {
            Self::Host => facts.http.as_ref().map(|http| http.authority.to_owned()),
            _ => self.text(facts).map(Cow::into_owned),
        }
    }
}

/// What a token does not say is not there.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn bracketed<'a>(key: &'a str, name: &str) -> Option<&'a str> {
    key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')
}

/// Values of one field.
#[derive(Debug)]
enum Values {
    Texts(TextSet),
    Addresses(AddressSet),
    Ports(Box<[u16]>),
    /// In lower case: those without port, and those with one.
    Hosts(TextSet, TextSet),
    Paths(TextSet, Box<[Template]>),
}

impl Values {
    fn new<'a>(field: &Field, values: impl Iterator<Item = &'a str>) -> Self {
        match field {
            Field::Source | Field::Remote | Field::Destination => Self::Addresses(AddressSet::new(values)),
            Field::Port => Self::Ports(values.filter_map(|port| port.parse().ok()).collect()),
            Field::ServiceAccount => Self::Texts(TextSet::exact(values)),
            Field::Principal => {
                Self::Texts(TextSet::new(values.map(|value| value.strip_prefix("spiffe://").unwrap_or(value))))
            }
            Field::Host => {
                let lower: Vec<String> = values.map(str::to_ascii_lowercase).collect();
                let (with_port, without): (Vec<&str>, Vec<&str>) =
                    lower.iter().map(String::as_str).partition(|pattern| has_port(pattern));
                Self::Hosts(TextSet::new(without), TextSet::new(with_port))
            }
            Field::Path => {
                let (templates, texts): (Vec<&str>, Vec<&str>) = values.partition(|pattern| is_template(pattern));
                Self::Paths(TextSet::new(texts), templates.into_iter().map(Template::new).collect())
            }
            _ => Self::Texts(TextSet::new(values)),
        }
    }

    /// Whether the facts have one of the values. What they do not have at all is none of them.
    fn accept(&self, field: &Field, facts: &Facts<'_>) -> bool {
        match self {
            Self::Addresses(set) => field.address(facts).is_some_and(|address| set.contains(address)),
            Self::Ports(ports) => ports.contains(&facts.port),
            Self::Hosts(without, with_port) => facts.http.as_ref().is_some_and(|http| {
                without.accepts(http.host) || with_port.accepts(&http.authority.to_ascii_lowercase())
            }),
            Self::Paths(texts, templates) => facts.http.as_ref().is_some_and(|http| {
                texts.accepts(http.path) || templates.iter().any(|template| template.accepts(http.path))
            }),
            Self::Texts(set) => match field {
                Field::Audience | Field::Claim(_) => {
                    facts.http.as_ref().is_some_and(|http| field.texts(http).iter().any(|text| set.accepts(text)))
                }
                _ => field.text(facts).is_some_and(|text| set.accepts(&text)),
            },
        }
    }
}

fn has_port(pattern: &str) -> bool {
    let after_address = pattern.rsplit(']').next().unwrap_or(pattern);
    after_address.contains(':')
}

/// A field with the values one of which it must have, and those of which it must have none.
#[derive(Debug)]
pub struct Test {
    pub field: Field,
    /// As it is written, and the values as they are written, for people.
    pub name: Box<str>,
    accept: Option<Values>,
    refuse: Option<Values>,
    pub want: Box<[String]>,
    pub not_want: Box<[String]>,
}

impl Test {
    /// `None` where nothing is asked for.
    pub fn new(field: Field, name: &str, values: &[String], not_values: &[String]) -> Option<Self> {
        let prepare =
            |values: &[String]| (!values.is_empty()).then(|| Values::new(&field, values.iter().map(String::as_str)));
        let (accept, refuse) = (prepare(values), prepare(not_values));
        if accept.is_none() && refuse.is_none() {
            return None;
        }
        Some(Self { name: name.into(), accept, refuse, want: values.into(), not_want: not_values.into(), field })
    }

    pub fn of_condition(condition: &AuthorizationCondition) -> Option<Self> {
        let field = Field::of_condition(&condition.key)?;
        Self::new(field, &condition.key, &condition.values, &condition.not_values)
    }

    /// Without requests, what only requests have counts as met: whoever must not rely on that asks
    /// [`Field::is_of_requests`] before.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<(), Failed> {
        if facts.http.is_none() && self.field.is_of_requests() {
            return Ok(());
        }
        if self.accept.as_ref().is_some_and(|values| !values.accept(&self.field, facts)) {
            return Err(Failed::NoneOf);
        }
        if self.refuse.as_ref().is_some_and(|values| values.accept(&self.field, facts)) {
            return Err(Failed::OneOf);
        }
        Ok(())
    }
}

/// Why a field did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It has none of the values.
    NoneOf,
    /// It has one of those that it must not have.
    OneOf,
}
