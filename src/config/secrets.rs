//! Keys, tokens and sessions.

use super::{reader::Reader, settings::DAY};
use crate::{
    crypto::{Keyring, RootKey, TokenKeyError, TokenKeys, TokenSettings},
    engine::SessionSettings,
};

const YEAR: u64 = 366 * DAY;

pub(super) fn keyring(settings: &mut Reader, embedded: bool) -> Option<Keyring> {
    const FORM: &str = "must be 32 random octets in base64; `enroll keys generate` prints them";
    let key = settings.text("secrets.key").map(|text| RootKey::from_base64(&text));
    if matches!(key, Some(None)) {
        settings.problem("secrets.key", FORM);
    }
    if key.is_none() && !embedded {
        settings.problem("secrets.key", "is required with PostgreSQL; `enroll keys generate` prints one");
    }
    let previous = settings.list("secrets.previous_keys").unwrap_or_default();
    let previous: Option<Vec<RootKey>> = previous.iter().map(|text| RootKey::from_base64(text)).collect();
    if previous.is_none() {
        settings.problem("secrets.previous_keys", FORM);
    }
    key.flatten().map(|key| Keyring::new(key, previous.unwrap_or_default()))
}

fn token_keys(settings: &mut Reader) -> TokenKeys {
    let algorithm = settings.text("tokens.algorithm").unwrap_or_else(|| "HS256".to_owned());
    let read = |settings: &mut Reader, setting: &'static str, path: &str| {
        std::fs::read(path).map_err(|error| settings.problem(setting, format!("{path} cannot be read: {error}"))).ok()
    };
    let private = settings.text("tokens.private_key_file");
    let private = private.and_then(|path| read(settings, "tokens.private_key_file", &path));
    let previous = settings.list("tokens.previous_key_files").unwrap_or_default();
    let previous: Vec<_> =
        previous.iter().filter_map(|path| read(settings, "tokens.previous_key_files", path)).collect();
    TokenKeys::load(&algorithm, private.as_deref(), &previous).unwrap_or_else(|error| {
        let setting = match error {
            TokenKeyError::UnknownAlgorithm => "tokens.algorithm",
            TokenKeyError::NoPrivateKey(_) | TokenKeyError::NotUsed => "tokens.private_key_file",
            TokenKeyError::NoKey => "tokens.previous_key_files",
        };
        settings.problem(setting, error);
        TokenKeys::default()
    })
}

pub(super) fn tokens(settings: &mut Reader) -> (TokenSettings, SessionSettings) {
    let tokens = TokenSettings {
        issuer: settings.text("tokens.issuer").unwrap_or_else(|| "enroll".to_owned()),
        audience: settings.text("tokens.audience").unwrap_or_else(|| "enroll".to_owned()),
        access_ttl: settings.seconds("tokens.access_ttl", 1_800, 60..=DAY),
        keys: token_keys(settings),
    };
    let sessions = SessionSettings {
        fresh_for: settings.seconds("tokens.fresh_for", 300, 0..=DAY),
        refresh_until_used: settings.flag("tokens.refresh_until_used", !tokens.keys.have_pair()),
        refresh_grace: settings.seconds("tokens.refresh_grace", 30, 0..=600),
        refresh_ttl: settings.seconds("tokens.refresh_ttl", 2_592_000, 60..=YEAR),
        session_ttl: settings.seconds("tokens.session_ttl", 7_776_000, 60..=10 * YEAR),
    };
    (tokens, sessions)
}
