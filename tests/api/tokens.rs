//! Access tokens: signed by whom they say, for whom they say, and no longer than they say.

use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Value, json};

use super::code_login::account;
use crate::support::{Backend, Options, TestApp};

stories!(
    forged_tokens_are_refused,
    others_verify_what_a_key_pair_signs,
    a_new_key_signs_and_the_old_one_still_verifies,
);

fn write_key(path: &Path, pkcs8: &[u8]) -> String {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8));
    std::fs::write(path, pem).unwrap();
    path.display().to_string()
}

fn ed25519(dir: &Path) -> String {
    let key = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    write_key(&dir.join("ed25519.pem"), key.as_ref())
}

pub(super) fn p256(dir: &Path) -> String {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    write_key(&dir.join("p256.pem"), key.as_ref())
}

fn part(token: &str, place: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(place).unwrap()).unwrap()).unwrap()
}

fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap()
}

/// The same token with another header and claims, signed or not.
fn unsigned(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.", encode(header), encode(claims))
}

async fn forged_tokens_are_refused(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default()
        .with("ENROLL__TOKENS__ALGORITHM", "ES256")
        .with("ENROLL__TOKENS__PRIVATE_KEY_FILE", p256(dir.path()));
    let app = TestApp::with(backend, options).await;
    let ann = account(&app).await;
    app.me(access(&ann)).await.is(200);
    let (header, claims) = (part(access(&ann), 0), part(access(&ann), 1));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names, ["aud", "exp", "gen", "iat", "iss", "jti", "sid", "sub"], "ids and times, nothing of the person");

    let signature = access(&ann).rsplit('.').next().unwrap();
    let mut forged = Vec::new();
    for alg in ["none", "None", "HS256", "RS256"] {
        let mut header = header.clone();
        header["alg"] = alg.into();
        forged.push(unsigned(&header, &claims));
        forged.push(format!("{}{signature}", unsigned(&header, &claims)));
    }
    // The public key as a shared secret; a key of one's own under the server's kid, or under another.
    let key = app.get("/.well-known/jwks.json").await.is(200)["keys"][0].clone();
    let mut symmetric = Header::new(Algorithm::HS256);
    (symmetric.typ, symmetric.kid) = (Some("at+jwt".into()), key["kid"].as_str().map(str::to_owned));
    for secret in [key["x"].as_str().unwrap(), key["kid"].as_str().unwrap(), &key.to_string(), ""] {
        forged.push(encode(&symmetric, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap());
    }
    let random = aws_lc_rs::rand::SystemRandom::new();
    let own = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    for kid in [key["kid"].as_str(), Some("foreign"), Some("../../etc/passwd"), None] {
        let mut header = Header::new(Algorithm::ES256);
        (header.typ, header.kid) = (Some("at+jwt".into()), kid.map(str::to_owned));
        forged.push(encode(&header, &claims, &EncodingKey::from_ec_der(own.as_ref())).unwrap());
    }
    // One octet of it, and what is no token at all.
    forged.push(access(&ann).replace('.', ".A"));
    forged.push(ann["refresh_token"].as_str().unwrap().to_owned());
    forged.extend(["a.b.c", "..", "x"].map(str::to_owned));
    for token in forged {
        let refused = app.me(&token).await;
        assert_eq!(refused.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#), "{token}");
        refused.is_problem(401, "invalid_token");
    }
    app.post("/auth/refresh", json!({"refresh_token": access(&ann)})).await.is_problem(401, "invalid_token");

    // For another audience, or by another issuer, signed by the very key.
    let app = app.restart_with("ENROLL__TOKENS__AUDIENCE", "elsewhere").await;
    app.me(access(&ann)).await.is_problem(401, "invalid_token");
    let app = app.restart_with("ENROLL__TOKENS__AUDIENCE", "enroll").await;
    app.me(access(&ann)).await.is(200);
    let app = app.restart_with("ENROLL__TOKENS__ISSUER", "elsewhere").await;
    app.me(access(&ann)).await.is_problem(401, "invalid_token");
    let app = app.restart_with("ENROLL__TOKENS__ISSUER", "enroll").await;
    app.advance(1_800 + 15);
    app.me(access(&ann)).await.is(200);
    app.advance(15);
    app.me(access(&ann)).await.is_problem(401, "invalid_token");
}

async fn others_verify_what_a_key_pair_signs(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default()
        .with("ENROLL__TOKENS__ALGORITHM", "EdDSA")
        .with("ENROLL__TOKENS__PRIVATE_KEY_FILE", ed25519(dir.path()));
    let app = TestApp::with(backend, options).await;
    let ann = account(&app).await;
    let keys = app.get("/.well-known/jwks.json").await.is(200);
    let [key] = &keys["keys"].as_array().unwrap()[..] else { panic!("{keys:#}") };
    let fields: Vec<&String> = key.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["alg", "crv", "kid", "kty", "use", "x"], "the public half alone");
    // As another service does it, with nothing but the key set.
    let header = decode_header(access(&ann)).unwrap();
    assert_eq!(header.kid.as_deref(), key["kid"].as_str());
    let mut validation = Validation::new(Algorithm::EdDSA);
    (validation.validate_exp, validation.leeway) = (false, 30);
    validation.set_audience(&["enroll"]);
    validation.set_issuer(&["enroll"]);
    let public = DecodingKey::from_jwk(&serde_json::from_value(key.clone()).unwrap()).unwrap();
    let claims = decode::<Value>(access(&ann), &public, &validation).unwrap().claims;
    assert_eq!(claims["sub"], ann["user"]["id"]);
}

async fn a_new_key_signs_and_the_old_one_still_verifies(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let (old_key, new_key) = (p256(dir.path()), ed25519(dir.path()));
    let options = Options::default()
        .with("ENROLL__TOKENS__ALGORITHM", "ES256")
        .with("ENROLL__TOKENS__PRIVATE_KEY_FILE", &old_key)
        .with("ENROLL__TOKENS__PREVIOUS_KEY_FILES", &new_key); // told before it signs
    let app = TestApp::with(backend, options).await;
    let before = account(&app).await;
    assert_eq!(app.get("/.well-known/jwks.json").await.is(200)["keys"].as_array().unwrap().len(), 2);

    let app = app
        .restart_with_all(&[
            ("ENROLL__TOKENS__ALGORITHM", "EdDSA"),
            ("ENROLL__TOKENS__PRIVATE_KEY_FILE", &new_key),
            ("ENROLL__TOKENS__PREVIOUS_KEY_FILES", &old_key),
        ])
        .await;
    app.me(access(&before)).await.is(200);
    let after = app.post("/auth/refresh", json!({"refresh_token": before["refresh_token"]})).await.is(200);
    assert_eq!(part(access(&after), 0)["alg"], "EdDSA");
    assert_ne!(part(access(&after), 0)["kid"], part(access(&before), 0)["kid"]);
    app.me(access(&after)).await.is(200);

    let app = app.restart_with("ENROLL__TOKENS__PREVIOUS_KEY_FILES", "").await;
    app.me(access(&before)).await.is_problem(401, "invalid_token");
    app.me(access(&after)).await.is(200);
}
