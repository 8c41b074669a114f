//! Access and refresh tokens.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode, jwk::JwkSet,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Keyring, MacPurpose, RootKey, TokenKeys};
use crate::domain::{JsonObject, RefreshToken, Session, Timestamp};

/// The settings of access tokens.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `iss`
    pub issuer: String,
    /// `aud`
    pub audience: String,
    /// How long they live.
    pub access_ttl: Duration,
    /// The key pairs, unless the root key signs.
    pub keys: TokenKeys,
}

/// The claims of an access token: ids, times and what the operator says, no personal data (RFC 9068).
#[expect(missing_docs, reason = "the names are those of RFC 7519 and RFC 9068")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    pub aud: String,
    pub sub: Uuid,
    pub sid: Uuid,
    pub iat: i64,
    pub exp: i64,
    pub jti: Uuid,
    /// The session's counter: which of its refresh tokens it was given out with.
    #[serde(rename = "gen")]
    pub counter: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The operator's, of the account.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub claims: JsonObject,
}

/// An access token that says more of its session, in the names that GoTrue's clients read.
#[derive(Serialize)]
struct SessionClaims<'a> {
    #[serde(flatten)]
    access: &'a AccessClaims,
    role: &'static str,
    session_id: Uuid,
    aal: &'static str,
    amr: [SignIn; 1],
}

/// How the session was opened, and when (as RFC 8176 has it, with a time).
#[derive(Serialize)]
struct SignIn {
    method: &'static str,
    timestamp: i64,
}

impl<'a> SessionClaims<'a> {
    fn new(access: &'a AccessClaims, session: &Session) -> Self {
        let method = if session.opened_by.is_some() { "otp" } else { "password" };
        let amr = [SignIn { method, timestamp: session.created_at.seconds() }];
        Self { access, role: "authenticated", session_id: session.id, aal: "aal1", amr }
    }
}

/// Signs and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    keyring: Keyring,
    settings: TokenSettings,
    /// Access tokens say how their session was opened.
    with_session: bool,
}

/// The tolerance between the clocks of nodes and of services that verify offline (RFC 7519, 4.1.4), in seconds.
const LEEWAY: i64 = 30;
const TYPE: &str = "at+jwt";

impl Tokens {
    /// Tokens of this keyring.
    pub fn new(keyring: Keyring, settings: TokenSettings) -> Self {
        Self { keyring, settings, with_session: false }
    }

    /// The same, with what access tokens say of their session beside the rest: `role`, `session_id`, `aal` and `amr`.
    #[must_use]
    pub fn with_session_claims(self) -> Self {
        Self { with_session: true, ..self }
    }

    /// How long access tokens live.
    pub fn access_ttl(&self) -> Duration {
        self.settings.access_ttl
    }

    /// Signs an access token of the session.
    pub fn sign_access(
        &self,
        session: &Session,
        claims: &JsonObject,
        id: Uuid,
        now: Timestamp,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = AccessClaims {
            iss: self.settings.issuer.clone(),
            aud: self.settings.audience.clone(),
            sub: session.user_id,
            sid: session.id,
            iat: now.seconds(),
            exp: now.plus(self.settings.access_ttl).seconds(),
            jti: id,
            counter: session.counter,
            nbf: None,
            claims: claims.clone(),
        };
        if self.with_session { self.sign(&SessionClaims::new(&claims, session)) } else { self.sign(&claims) }
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, jsonwebtoken::errors::Error> {
        let header = |algorithm, kid: &str| Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(kid.to_owned()),
            ..Header::new(algorithm)
        };
        if let Some(pair) = self.settings.keys.signing() {
            return encode(&header(pair.algorithm, &pair.kid), claims, &pair.key);
        }
        let root = self.keyring.current();
        encode(&header(Algorithm::HS256, root.id()), claims, &EncodingKey::from_secret(root.access_token()))
    }

    /// The public keys, for `/.well-known/jwks.json` (RFC 7517).
    pub fn jwks(&self) -> JwkSet {
        self.settings.keys.jwks()
    }

    /// The claims of a token that this service signed and that is valid now. The key decides the algorithm, the
    /// token's header only which of our keys (RFC 8725, 3.1).
    pub fn verify_access(&self, token: &str, now: Timestamp) -> Option<AccessClaims> {
        let header = decode_header(token).ok()?;
        // No extension is known that would have to be understood (RFC 7515, 4.1.11).
        if header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return None;
        }
        let kid = header.kid.as_deref()?;
        let keys = &self.settings.keys;
        // A shared secret is no key where tokens are signed by a key pair.
        let root = self.keyring.accepted().find(|key| key.id() == kid && keys.signing().is_none());
        let secret = root.map(|root| DecodingKey::from_secret(root.access_token()));
        let (key, algorithm) = match (keys.verifying(kid), &secret) {
            (Some(public), _) => (&public.key, public.algorithm),
            (None, Some(secret)) => (secret, Algorithm::HS256),
            (None, None) => return None,
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are judged below, by our clock.
        validation.validate_exp = false;
        let claims = decode::<AccessClaims>(token, key, &validation).ok()?.claims;
        let now = now.seconds();
        let begun = claims.nbf.is_none_or(|nbf| nbf <= now + LEEWAY) && claims.iat <= now + LEEWAY;
        (begun && now < claims.exp.saturating_add(LEEWAY)).then_some(claims)
    }

    /// Encodes `key id . session . counter . salt . HMAC over those` as one base64url word.
    pub fn encode_refresh(&self, token: &RefreshToken) -> String {
        let key = self.keyring.current();
        let body = [key.id().as_bytes(), token.session.as_bytes(), &token.counter.to_be_bytes(), &token.salt].concat();
        let mac = refresh_mac(key, &body);
        URL_SAFE_NO_PAD.encode([body.as_slice(), &mac].concat())
    }

    /// Decodes a refresh token; `None` if no accepted key has made its MAC.
    pub fn verify_refresh(&self, text: &str) -> Option<RefreshToken> {
        let bytes: [u8; 80] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (body, mac) = bytes.split_at(48);
        let key = self.keyring.accepted().find(|key| key.id().as_bytes() == &body[..8])?;
        verify_slices_are_equal(&refresh_mac(key, body), mac).ok()?;
        Some(RefreshToken {
            session: Uuid::from_slice(&body[8..24]).ok()?,
            counter: i64::from_be_bytes(body[24..32].try_into().ok()?),
            salt: body[32..48].try_into().ok()?,
        })
    }
}

fn refresh_mac(key: &RootKey, body: &[u8]) -> [u8; 32] {
    key.mac(MacPurpose::RefreshToken, &[body])
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        KeyPair as _,
    };
    use jsonwebtoken::Header;

    use super::*;

    fn tokens(key: u8) -> Tokens {
        with_keys(key, TokenKeys::default())
    }

    fn with_keys(key: u8, keys: TokenKeys) -> Tokens {
        let access_ttl = Duration::from_mins(1);
        let settings = TokenSettings { issuer: "enroll".into(), audience: "enroll".into(), access_ttl, keys };
        Tokens::new(Keyring::new(RootKey::from_bytes([key; 32]), vec![]), settings)
    }

    fn session() -> Session {
        Session {
            id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(2),
            counter: 0,
            used_counter: 0,
            salt: vec![0; 16],
            epoch: 0,
            opened_by: None,
            user_agent: None,
            ip: None,
            created_at: Timestamp::default(),
            ends_at: Timestamp::default(),
            expires_at: Timestamp::default(),
        }
    }

    #[test]
    fn an_access_token_is_good_until_its_end_and_the_leeway() {
        let (tokens, now) = (tokens(1), Timestamp::from_millis(1_800_000_000_000));
        let token = tokens.sign_access(&session(), &JsonObject::default(), Uuid::from_u128(3), now).unwrap();
        let at = |seconds| tokens.verify_access(&token, now.plus(Duration::from_secs(seconds)));
        assert_eq!(at(0).unwrap().sid, session().id);
        assert!(at(89).is_some());
        assert!(at(90).is_none());
        assert!(super::tests::tokens(2).verify_access(&token, now).is_none());
    }

    #[test]
    fn a_token_may_say_more_of_its_session() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let session = Session { created_at: now, ..session() };
        let (plain, more) = (tokens(1), tokens(1).with_session_claims());
        let sign = |tokens: &Tokens| tokens.sign_access(&session, &JsonObject::default(), Uuid::from_u128(3), now);
        let payload = |token: &str| -> serde_json::Value {
            let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            serde_json::from_slice(&payload).unwrap()
        };
        let token = sign(&more).unwrap();
        assert_eq!(plain.verify_access(&token, now).unwrap().sid, session.id, "one is as good as the other");
        let mut said = payload(&token);
        let amr = serde_json::json!([{"method": "password", "timestamp": 1_800_000_000}]);
        for (name, value) in [
            ("role", "authenticated".into()),
            ("session_id", said["sid"].clone()),
            ("aal", "aal1".into()),
            ("amr", amr),
        ] {
            assert_eq!(said.as_object_mut().unwrap().remove(name), Some(value), "{name}");
        }
        assert_eq!(said, payload(&sign(&plain).unwrap()));
    }

    #[test]
    fn what_we_did_not_sign_or_meant_for_other_use_is_refused() {
        let (tokens, now) = (tokens(1), Timestamp::from_millis(1_800_000_000_000));
        let good = tokens.sign_access(&session(), &JsonObject::default(), Uuid::from_u128(3), now).unwrap();
        let claims = good.split('.').nth(1).unwrap();
        let none = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#));
        assert!(tokens.verify_access(&none, now).is_none());

        let key = tokens.keyring.current().clone();
        let decoded = tokens.verify_access(&good, now).unwrap();
        let sign = |header: &Header, claims: &AccessClaims| {
            encode(header, claims, &EncodingKey::from_secret(key.access_token())).unwrap()
        };
        let mut plain = Header::new(Algorithm::HS256);
        plain.kid = Some(key.id().to_owned());
        assert!(tokens.verify_access(&sign(&plain, &decoded), now).is_none(), "typ JWT");

        let mut header = plain.clone();
        header.typ = Some(TYPE.into());
        assert!(tokens.verify_access(&sign(&header, &decoded), now).is_some());
        for wrong in [
            AccessClaims { aud: "other".into(), ..decoded.clone() },
            AccessClaims { iss: "other".into(), ..decoded.clone() },
            AccessClaims { nbf: Some(decoded.iat + 3_600), ..decoded.clone() },
        ] {
            assert!(tokens.verify_access(&sign(&header, &wrong), now).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_refresh_token_is_read_back_and_none_other() {
        let tokens = tokens(1);
        let token = RefreshToken { session: Uuid::from_u128(9), counter: 7, salt: [5; 16] };
        let text = tokens.encode_refresh(&token);
        assert_eq!(tokens.verify_refresh(&text), Some(token));
        assert_eq!(tokens.verify_refresh(&text[1..]), None);
        assert_eq!(tokens.verify_refresh(&format!("A{}", &text[1..])), None);
        assert_eq!(super::tests::tokens(2).verify_refresh(&text), None);
        assert!(tokens.verify_access(&text, Timestamp::default()).is_none());
    }

    fn pem(label: &str, der: &[u8]) -> String {
        use base64::engine::general_purpose::STANDARD;
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    /// Private keys, for each algorithm one.
    fn keys() -> [(&'static str, String); 3] {
        let ed = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
        let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let rsa: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa.as_der().unwrap();
        let (ed, rsa) = (pem("PRIVATE KEY", ed.as_ref()), pem("PRIVATE KEY", rsa.as_ref()));
        [("EdDSA", ed), ("ES256", ec(&ECDSA_P256_SHA256_FIXED_SIGNING)), ("RS256", rsa)]
    }

    fn ec(curve: &'static EcdsaSigningAlgorithm) -> String {
        let random = aws_lc_rs::rand::SystemRandom::new();
        pem("PRIVATE KEY", EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap().as_ref())
    }

    fn load(algorithm: &str, private: &str, previous: &[&str]) -> TokenKeys {
        let previous: Vec<Vec<u8>> = previous.iter().map(|pem| pem.as_bytes().to_vec()).collect();
        TokenKeys::load(algorithm, Some(private.as_bytes()), &previous).unwrap()
    }

    #[test]
    fn a_key_pair_signs_and_its_public_half_is_told() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        for (algorithm, pem) in keys() {
            let tokens = with_keys(1, load(algorithm, &pem, &[]));
            let token = tokens.sign_access(&session(), &JsonObject::default(), Uuid::from_u128(3), now).unwrap();
            assert_eq!(tokens.verify_access(&token, now).unwrap().sub, session().user_id, "{algorithm}");
            let jwks = serde_json::to_value(tokens.jwks()).unwrap();
            let key = &jwks["keys"][0];
            assert_eq!((&key["alg"], &key["use"]), (&algorithm.into(), &"sig".into()));
            assert_eq!(key["kid"], decode_header(&token).unwrap().kid.unwrap());
            assert!(["d", "p", "q", "k"].iter().all(|private| key[private].is_null()), "{key}");
            // Whoever holds the public key can't sign with it as a secret, nor with another kind of key.
            let mut header = Header::new(Algorithm::HS256);
            (header.typ, header.kid) = (Some(TYPE.into()), key["kid"].as_str().map(str::to_owned));
            let claims = tokens.verify_access(&token, now).unwrap();
            for secret in [pem.as_bytes(), key["n"].as_str().or(key["x"].as_str()).unwrap().as_bytes()] {
                let forged = encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap();
                assert!(tokens.verify_access(&forged, now).is_none(), "{algorithm}");
            }
            // Nor does the root key: the tokens of before are no good.
            let of_root = super::tests::tokens(1)
                .sign_access(&session(), &JsonObject::default(), Uuid::from_u128(3), now)
                .unwrap();
            assert!(tokens.verify_access(&of_root, now).is_none());
            assert!(super::tests::tokens(1).verify_access(&token, now).is_none());
        }
    }

    #[test]
    fn a_previous_key_still_verifies_and_a_new_one_signs() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let [(_, ed), (_, ec), _] = keys();
        let (ed, ec) = (ed.as_str(), ec.as_str());
        let old = with_keys(1, load("ES256", ec, &[]))
            .sign_access(&session(), &JsonObject::default(), Uuid::from_u128(3), now)
            .unwrap();
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let private: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let (rsa, public) = (pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref()));
        let tokens = with_keys(1, load("EdDSA", ed, &[ec, &public]));
        assert!(tokens.verify_access(&old, now).is_some());
        assert_eq!(tokens.jwks().keys.len(), 3);
        let new = tokens.sign_access(&session(), &JsonObject::default(), Uuid::from_u128(3), now).unwrap();
        assert_ne!(decode_header(&new).unwrap().kid, decode_header(&old).unwrap().kid);
        let by_rsa = with_keys(1, load("RS256", &rsa, &[]))
            .sign_access(&session(), &JsonObject::default(), Uuid::from_u128(3), now)
            .unwrap();
        assert!(tokens.verify_access(&by_rsa, now).is_some(), "a public key is enough to verify");
        assert!(with_keys(1, load("EdDSA", ed, &[])).verify_access(&old, now).is_none());
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused() {
        let ([(_, ed), (_, p256), (_, rsa)], p384) = (keys(), ec(&ECDSA_P384_SHA384_FIXED_SIGNING));
        for (algorithm, pem) in
            [("EdDSA", &p256), ("ES256", &rsa), ("RS256", &ed), ("ES256", &p384), ("ES256", &String::new())]
        {
            assert!(TokenKeys::load(algorithm, Some(pem.as_bytes()), &[]).is_err(), "{algorithm}");
        }
        assert!(TokenKeys::load("none", None, &[]).is_err());
        assert!(TokenKeys::load("EdDSA", None, &[]).is_err());
        assert!(TokenKeys::load("HS256", None, &[p384.into_bytes()]).is_err());
        assert!(TokenKeys::load("HS256", None, &[]).unwrap().jwks().keys.is_empty());
    }
}
