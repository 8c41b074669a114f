//! Keys, tokens and sessions.

use super::{reader::Reader, settings::DAY};
use crate::{
    crypto::{Keyring, RootKey, TokenKeyError, TokenKeys, TokenSettings},
    engine::SessionSettings,
};

const YEAR: u64 = 366 * DAY;

pub(super) fn keyring(from: &mut Reader, embedded: bool) -> Option<Keyring> {
    const FORM: &str = "is not 32 random octets in base64; `enroll keys generate` prints one";
    let key = from.text("secrets.key").map(|text| RootKey::from_base64(&text));
    if matches!(key, Some(None)) {
        from.problem("secrets.key", FORM);
    }
    if key.is_none() && !embedded {
        from.problem("secrets.key", "must be given beside PostgreSQL; `enroll keys generate` prints one");
    }
    let previous = from.list("secrets.previous_keys").unwrap_or_default();
    let previous: Option<Vec<RootKey>> = previous.iter().map(|text| RootKey::from_base64(text)).collect();
    if previous.is_none() {
        from.problem("secrets.previous_keys", FORM);
    }
    key.flatten().map(|key| Keyring::new(key, previous.unwrap_or_default()))
}

fn token_keys(from: &mut Reader) -> TokenKeys {
    let algorithm = from.text("tokens.algorithm").unwrap_or_else(|| "HS256".to_owned());
    let read = |from: &mut Reader, setting: &'static str, path: &str| {
        std::fs::read(path).map_err(|error| from.problem(setting, format!("{path} can't be read: {error}"))).ok()
    };
    let private = from.text("tokens.private_key_file");
    let private = private.and_then(|path| read(from, "tokens.private_key_file", &path));
    let previous = from.list("tokens.previous_key_files").unwrap_or_default();
    let previous: Vec<_> = previous.iter().filter_map(|path| read(from, "tokens.previous_key_files", path)).collect();
    TokenKeys::load(&algorithm, private.as_deref(), &previous).unwrap_or_else(|error| {
        let setting = match error {
            TokenKeyError::UnknownAlgorithm => "tokens.algorithm",
            TokenKeyError::NoPrivateKey(_) | TokenKeyError::NotUsed => "tokens.private_key_file",
            TokenKeyError::NoKey => "tokens.previous_key_files",
        };
        from.problem(setting, error);
        TokenKeys::default()
    })
}

pub(super) fn tokens(from: &mut Reader) -> (TokenSettings, SessionSettings) {
    let tokens = TokenSettings {
        issuer: from.text("tokens.issuer").unwrap_or_else(|| "enroll".to_owned()),
        audience: from.text("tokens.audience").unwrap_or_else(|| "enroll".to_owned()),
        access_ttl: from.seconds("tokens.access_ttl", 1_800, 60..=DAY),
        keys: token_keys(from),
    };
    let sessions = SessionSettings {
        fresh_for: from.seconds("tokens.fresh_for", 300, 0..=DAY),
        refresh_grace: from.seconds("tokens.refresh_grace", 30, 0..=600),
        refresh_ttl: from.seconds("tokens.refresh_ttl", 2_592_000, 60..=YEAR),
        session_ttl: from.seconds("tokens.session_ttl", 7_776_000, 60..=10 * YEAR),
    };
    (tokens, sessions)
}
