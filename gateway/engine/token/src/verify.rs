//! One token, proved or not.

use sekisho_table::TokenRule;
use serde_json::Value;

use crate::claims;
use crate::jwks::{KeySet, SetProblem};
use crate::jwt::Jwt;

/// Clocks differ by as much, in seconds.
const LEEWAY: f64 = 60.0;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is no token, or asks for what is not understood.
    Malformed,
    /// No rule that looks at its place is for its issuer.
    UnknownIssuer,
    /// The keys of its issuer are not known, or none of them is usable.
    NoKeys,
    /// No key of its issuer has signed it.
    Unverified,
    /// It is for others.
    Audience,
    NotYetValid,
    Expired,
}

/// When a token counts, in seconds since 1970, leeway included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validity {
    from: f64,
    until: f64,
}

impl Validity {
    /// Times that are no numbers are no times: such a token is malformed (RFC 7519, section 2).
    pub(crate) fn of(claims: &Value) -> Result<Self, Fault> {
        let time = |name: &str, none: f64| match claims.get(name) {
            None => Ok(none),
            Some(value) => value.as_f64().ok_or(Fault::Malformed),
        };
        Ok(Self { from: time("nbf", f64::NEG_INFINITY)? - LEEWAY, until: time("exp", f64::INFINITY)? + LEEWAY })
    }

    pub fn check(&self, now: f64) -> Result<(), Fault> {
        if now < self.from {
            Err(Fault::NotYetValid)
        } else if now >= self.until {
            Err(Fault::Expired)
        } else {
            Ok(())
        }
    }
}

/// The keys and audiences of one rule.
#[derive(Debug)]
pub struct Issuer {
    pub name: Box<str>,
    audiences: Box<[String]>,
    keys: Result<KeySet, SetProblem>,
}

impl Issuer {
    pub fn new(rule: &TokenRule) -> Self {
        Self {
            name: rule.issuer.as_str().into(),
            audiences: rule.audiences.as_slice().into(),
            keys: KeySet::parse(&rule.keys),
        }
    }

    /// Proves a token whose issuer this is. The signature goes before all that it is to vouch for.
    pub fn verify(&self, jwt: &Jwt<'_>, now: f64) -> Result<Validity, Fault> {
        let keys = self.keys.as_ref().map_err(|_| Fault::NoKeys)?;
        if !keys.verifies(&jwt.header.alg, jwt.header.kid.as_deref(), jwt.signed.as_bytes(), &jwt.signature) {
            return Err(Fault::Unverified);
        }
        let validity = Validity::of(&jwt.claims)?;
        validity.check(now)?;
        let meant = self.audiences.is_empty()
            || claims::audiences(&jwt.claims).iter().any(|audience| self.audiences.contains(audience));
        if meant { Ok(validity) } else { Err(Fault::Audience) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_have_a_minute_of_leeway() {
        let validity = Validity::of(&json!({"nbf": 1000, "exp": 2000.5})).expect("times");
        assert_eq!(validity.check(939.0), Err(Fault::NotYetValid));
        assert_eq!(validity.check(940.0), Ok(()));
        assert_eq!(validity.check(2060.0), Ok(()));
        assert_eq!(validity.check(2060.5), Err(Fault::Expired));
    }

    #[test]
    fn a_time_that_is_no_number_is_refused() {
        for claims in [json!({"exp": "2000"}), json!({"nbf": null}), json!({"exp": [1]})] {
            assert_eq!(Validity::of(&claims), Err(Fault::Malformed), "{claims}");
        }
        assert!(Validity::of(&json!({})).expect("no times").check(1e12).is_ok());
    }
}
