//! A name to log in by.

use super::{FieldCode, FieldError, sha256};

/// A name to log in by: 3 to 64 of ASCII letters, digits, `.`, `_`, `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginId(String);

impl LoginId {
    /// Checks the letters and the length.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let error = |code, message| Err(FieldError::new("login_id", code, message));
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return error(FieldCode::Invalid, "must consist of ASCII letters, digits, '.', '_' and '-'");
        }
        match text.len() {
            0..3 => error(FieldCode::TooShort, "must have at least 3 characters"),
            3..=64 => Ok(Self(text.to_owned())),
            _ => error(FieldCode::TooLong, "must have at most 64 characters"),
        }
    }

    /// Restores an id that [`LoginId::parse`] made.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text by which it is compared: without its case.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// SHA-256 of its [`key`](Self::key), for verifications that were requested with it.
    pub fn hash(&self) -> Vec<u8> {
        sha256(self.key().as_bytes()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allowed_letters_and_lengths_pass() {
        for text in ["abc", "A.b-c_1", &"x".repeat(64)] {
            assert!(LoginId::parse(text).is_ok(), "{text}");
        }
        for text in ["", "ab", "a b", "añb", "abc\u{0}", &"x".repeat(65)] {
            assert!(LoginId::parse(text).is_err(), "{text}");
        }
        assert_eq!(LoginId::parse("Officer.7").unwrap().key(), "officer.7");
    }
}
