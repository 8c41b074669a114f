//! The key pairs of access tokens.

use std::{fmt, sync::Arc};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use serde::{Deserialize, Serialize};

/// The key pairs of access tokens, for services that verify them by themselves; none while tokens are signed
/// by the root key (HS256). Its `Debug` shows ids.
#[derive(Clone, Default)]
pub struct TokenKeys {
    signing: Option<Arc<SigningKey>>,
    /// The public half of the signing key, then the previous keys.
    verifying: Arc<[VerifyingKey]>,
}

pub(super) struct SigningKey {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) key: EncodingKey,
}

/// A public key, which verifies tokens of its own algorithm only (RFC 8725, 3.1).
pub(super) struct VerifyingKey {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
    jwk: Jwk,
}

/// A setting of the token keys is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The algorithm is unknown.
    #[error("must be HS256, EdDSA, ES256 or RS256")]
    UnknownAlgorithm,
    /// The file has no private key for the algorithm.
    #[error("must hold a private key in PEM (PKCS#8) for {0:?}: Ed25519, P-256, or RSA of at least 2048 bits")]
    NoPrivateKey(Algorithm),
    /// HS256 uses no key pair.
    #[error("is only used with ENROLL__TOKENS__ALGORITHM EdDSA, ES256 or RS256")]
    NotUsed,
    /// The file has no key.
    #[error("must hold a private or public key in PEM: Ed25519, P-256, or RSA of at least 2048 bits")]
    NoKey,
}

const ASYMMETRIC: [(&str, Algorithm); 3] =
    [("EdDSA", Algorithm::EdDSA), ("ES256", Algorithm::ES256), ("RS256", Algorithm::RS256)];
/// The shortest modulus of an RSA key in octets (2048 bits; RFC 7518, 3.3).
const SHORTEST_MODULUS: usize = 256;

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.verifying.iter().map(|key| &key.kid)).finish()
    }
}

impl TokenKeys {
    /// Reads PEM files. `private` is required unless the algorithm is HS256; `previous` are private or public
    /// keys that still verify.
    pub fn load(algorithm: &str, private: Option<&[u8]>, previous: &[Vec<u8>]) -> Result<Self, TokenKeyError> {
        let named = ASYMMETRIC.iter().find(|(name, _)| *name == algorithm).map(|(_, algorithm)| *algorithm);
        let (mut signing, mut verifying) = (None, Vec::new());
        match named {
            None if algorithm == "HS256" && private.is_some() => return Err(TokenKeyError::NotUsed),
            None if algorithm == "HS256" => {}
            None => return Err(TokenKeyError::UnknownAlgorithm),
            Some(algorithm) => {
                let private = private.and_then(|pem| read_private(pem, algorithm));
                let (key, public) = private.ok_or(TokenKeyError::NoPrivateKey(algorithm))?;
                signing = Some(Arc::new(SigningKey { kid: public.kid.clone(), algorithm, key }));
                verifying.push(public);
            }
        }
        for pem in previous {
            let private = ASYMMETRIC.iter().find_map(|(_, algorithm)| read_private(pem, *algorithm));
            let public = || ASYMMETRIC.iter().find_map(|(_, algorithm)| read_public(pem, *algorithm));
            let key = private.map(|(_, key)| key).or_else(public).ok_or(TokenKeyError::NoKey)?;
            if !verifying.iter().any(|known: &VerifyingKey| known.kid == key.kid) {
                verifying.push(key);
            }
        }
        Ok(Self { signing, verifying: verifying.into() })
    }

    /// Whether a key pair signs, so that others verify tokens by themselves.
    pub fn have_pair(&self) -> bool {
        self.signing().is_some()
    }

    /// Whether an Ed25519 key signs, which not every verifier knows.
    pub fn sign_with_ed25519(&self) -> bool {
        self.signing().is_some_and(|key| key.algorithm == Algorithm::EdDSA)
    }

    pub(super) fn signing(&self) -> Option<&SigningKey> {
        self.signing.as_deref()
    }

    pub(super) fn verifying(&self, kid: &str) -> Option<&VerifyingKey> {
        self.verifying.iter().find(|key| key.kid == kid)
    }

    /// The public keys, for `/.well-known/jwks.json` (RFC 7517).
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.verifying.iter().map(|key| key.jwk.clone()).collect() }
    }
}

fn read_private(pem: &[u8], algorithm: Algorithm) -> Option<(EncodingKey, VerifyingKey)> {
    let key = match algorithm {
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
        _ => EncodingKey::from_rsa_pem(pem),
    }
    .ok()?;
    let public = VerifyingKey::new(Jwk::from_encoding_key(&key, algorithm).ok()?, algorithm)?;
    is_pair(&key, &public).then_some((key, public))
}

fn read_public(pem: &[u8], algorithm: Algorithm) -> Option<VerifyingKey> {
    let key = match algorithm {
        Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
        Algorithm::ES256 => DecodingKey::from_ec_pem(pem),
        _ => DecodingKey::from_rsa_pem(pem),
    }
    .ok()?;
    VerifyingKey::new(Jwk::from_decoding_key(&key, Some(algorithm)).ok()?, algorithm)
}

impl VerifyingKey {
    /// The id is the thumbprint (RFC 7638), so it is the same on every node.
    fn new(mut jwk: Jwk, algorithm: Algorithm) -> Option<Self> {
        use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve};
        let fits = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(parameters) => parameters.curve == EllipticCurve::P256,
            AlgorithmParameters::RSA(parameters) => parameters.n.len() >= SHORTEST_MODULUS * 4 / 3,
            AlgorithmParameters::OctetKeyPair(_) => true,
            _ => false,
        };
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok().filter(|_| fits)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(Self { key: DecodingKey::from_jwk(&jwk).ok()?, kid, algorithm, jwk })
    }
}

/// Signs something and verifies it, so that a useless key is found at the start, not at the first login.
fn is_pair(private: &EncodingKey, public: &VerifyingKey) -> bool {
    #[derive(Serialize, Deserialize)]
    struct NoClaims {}
    let mut validation = Validation::new(public.algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    encode(&Header::new(public.algorithm), &NoClaims {}, private)
        .is_ok_and(|token| decode::<NoClaims>(&token, &public.key, &validation).is_ok())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn a_short_modulus_is_no_key() {
        let modulus = |octets: usize| {
            let n = URL_SAFE_NO_PAD.encode(vec![0xff; octets]);
            let jwk = serde_json::json!({"kty": "RSA", "alg": "RS256", "n": n, "e": "AQAB"});
            VerifyingKey::new(serde_json::from_value(jwk).unwrap(), Algorithm::RS256)
        };
        assert!(modulus(128).is_none());
        assert!(modulus(256).is_some());
    }
}
