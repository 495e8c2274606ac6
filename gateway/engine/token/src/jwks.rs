//! A set of public keys (RFC 7517), prepared for verifying.

use std::fmt;

use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;

use crate::jwt::decode;

const MAX_KEYS: usize = 256;
/// Keys that one token is tried with: each costs a signature's verification, and the token is still anybody's.
const MAX_TRIES: usize = 8;
const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, where the set says so.
    algorithm: Option<String>,
    material: Material,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a set has no usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetProblem {
    /// There is no text: the keys are not known yet.
    Absent,
    Malformed,
    NoUsableKey,
}

/// The usable keys of a set; those of other kinds, for other uses or too weak are passed over.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    pub fn parse(text: &str) -> Result<Self, SetProblem> {
        if text.is_empty() {
            return Err(SetProblem::Absent);
        }
        let raw: RawSet = serde_json::from_str(text).map_err(|_| SetProblem::Malformed)?;
        let keys: Vec<Key> = raw.keys.into_iter().take(MAX_KEYS).filter_map(key).collect();
        if keys.is_empty() { Err(SetProblem::NoUsableKey) } else { Ok(Self { keys }) }
    }

    /// Whether a key that may have made the signature has. A key with another name than the token's is none of them.
    pub fn verifies(&self, algorithm: &str, id: Option<&str>, signed: &[u8], signature: &[u8]) -> bool {
        let may = |key: &&Key| {
            let named = match (id, key.id.as_deref()) {
                (Some(wanted), Some(has)) => wanted == has,
                _ => true,
            };
            named && key.algorithm.as_deref().is_none_or(|only| only == algorithm)
        };
        let fitting = self.keys.iter().filter(may).filter_map(|key| key.material.verifier(algorithm));
        fitting.take(MAX_TRIES).any(|verifier| verifier.verify(signed, signature))
    }
}

enum Verifier<'k> {
    Rsa(&'static signature::RsaParameters, &'k [u8], &'k [u8]),
    Point(&'static dyn VerificationAlgorithm, &'k [u8]),
}

impl Verifier<'_> {
    fn verify(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(parameters, n, e) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }
            Self::Point(algorithm, point) => {
                UnparsedPublicKey::new(*algorithm, point).verify(signed, signature).is_ok()
            }
        }
    }
}

impl Material {
    /// What checks signatures of `algorithm`, where keys of this kind make such (RFC 7518, section 3.1; RFC 8037).
    fn verifier(&self, algorithm: &str) -> Option<Verifier<'_>> {
        Some(match (self, algorithm) {
            (Self::Rsa { modulus, exponent }, _) => {
                let parameters = match algorithm {
                    "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
                    "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
                    "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
                    _ => return None,
                };
                Verifier::Rsa(parameters, modulus, exponent)
            }
            (Self::P256(point), "ES256") => Verifier::Point(&signature::ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), "ES384") => Verifier::Point(&signature::ECDSA_P384_SHA384_FIXED, point),
            (Self::Ed25519(point), "EdDSA") => Verifier::Point(&signature::ED25519, point),
            (Self::P256(_) | Self::P384(_) | Self::Ed25519(_), _) => return None,
        })
    }
}

fn key(raw: serde_json::Value) -> Option<Key> {
    let raw: RawKey = serde_json::from_value(raw).ok()?;
    let verifies = raw.usage.as_deref().is_none_or(|usage| usage == "sig")
        && raw.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    if !verifies {
        return None;
    }
    let material = match (raw.kty.as_str(), raw.crv.as_str()) {
        ("RSA", _) => rsa(&raw)?,
        ("EC", "P-256") => Material::P256(point(&raw, 32)?),
        ("EC", "P-384") => Material::P384(point(&raw, 48)?),
        ("OKP", "Ed25519") => Material::Ed25519(decode(&raw.x).filter(|x| x.len() == 32)?),
        _ => return None,
    };
    Some(Key { id: raw.kid, algorithm: raw.alg, material })
}

fn rsa(raw: &RawKey) -> Option<Material> {
    let modulus: Vec<u8> = decode(&raw.n)?.into_iter().skip_while(|byte| *byte == 0).collect();
    let exponent: Vec<u8> = decode(&raw.e)?.into_iter().skip_while(|byte| *byte == 0).collect();
    let bits = (modulus.len() * 8).checked_sub(modulus.first()?.leading_zeros() as usize)?;
    let sound = (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) && matches!(exponent.len(), 1..=4);
    sound.then_some(Material::Rsa { modulus, exponent })
}

/// Uncompressed, as ring wants it (SEC 1, section 2.3.3).
fn point(raw: &RawKey, size: usize) -> Option<Vec<u8>> {
    let (x, y) = (decode(&raw.x)?, decode(&raw.y)?);
    (x.len() == size && y.len() == size).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Option<SetProblem> {
        KeySet::parse(text).err()
    }

    #[test]
    fn keys_that_cannot_verify_are_none() {
        let n = crate::jwt::encode(&[0xff; 128]);
        assert_eq!(problem(""), Some(SetProblem::Absent));
        assert_eq!(problem("<html>"), Some(SetProblem::Malformed));
        assert_eq!(problem(r#"{"key": []}"#), Some(SetProblem::Malformed));
        for key in [
            String::new(),
            r#"{"kty":"oct","k":"c2VjcmV0"}"#.into(),
            r#"{"kty":"RSA"}"#.into(),
            format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#),
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.into(),
            r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#.into(),
            "7".into(),
        ] {
            assert_eq!(problem(&format!(r#"{{"keys":[{key}]}}"#)), Some(SetProblem::NoUsableKey), "{key}");
        }
    }

    #[test]
    fn a_key_for_another_use_is_passed_over() {
        let x = crate::jwt::encode(&[1; 32]);
        let set = |more: &str| format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"{more}}}]}}"#);
        assert!(KeySet::parse(&set("")).is_ok());
        assert!(KeySet::parse(&set(r#","use":"sig","key_ops":["verify"],"x5c":["ignored"]"#)).is_ok());
        assert_eq!(problem(&set(r#","use":"enc""#)), Some(SetProblem::NoUsableKey));
        assert_eq!(problem(&set(r#","key_ops":["sign"]"#)), Some(SetProblem::NoUsableKey));
    }
}
