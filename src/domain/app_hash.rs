//! The hashes by which Android knows the app that a text message is for.

use serde::{Deserialize, Serialize};

use super::{FieldCode, FieldError};

/// The hash of an Android app: the SMS Retriever gives a text that ends with it to this app, and nobody has to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppHash(String);

const LENGTH: usize = 11;

impl AppHash {
    /// Parses the first eleven characters of a base64 text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_base64 = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte));
        (text.len() == LENGTH && is_base64).then(|| Self(text.to_owned()))
    }

    /// One of those that are listed.
    ///
    /// # Errors
    ///
    /// [`FieldCode::Invalid`] for another form, [`FieldCode::Unknown`] for one that is not listed.
    pub fn parse_listed(text: &str, listed: &[Self]) -> Result<Self, FieldError> {
        let error = |code, message| FieldError::new("app_hash", code, message);
        let hash = Self::parse(text).ok_or_else(|| error(FieldCode::Invalid, "must be 11 characters of base64"))?;
        if listed.contains(&hash) {
            Ok(hash)
        } else {
            Err(error(FieldCode::Unknown, "is not that of an app known here"))
        }
    }

    /// As it ends a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_eleven_characters_and_is_listed() {
        let listed = [AppHash::parse("FA+9qCX9VSu").unwrap()];
        let code = |text: &str| AppHash::parse_listed(text, &listed).err().map(|error| error.code);
        assert_eq!(code("FA+9qCX9VSu"), None);
        assert_eq!(code("FA+9qCX9VSv"), Some(FieldCode::Unknown));
        for wrong in ["", "FA+9qCX9VS", "FA+9qCX9VSuu", "FA+9qCX9VS=", "FA+9qCX9VS\u{e9}", "FA 9qCX9VSu"] {
            assert_eq!(code(wrong), Some(FieldCode::Invalid), "{wrong}");
        }
    }
}
