use super::{FieldCode, FieldError};

/// A name to log in by: 3 to 64 of ASCII letters, digits, `.`, `_`, `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginId(String);

impl LoginId {
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let error = |code, message| Err(FieldError::new("login_id", code, message));
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return error(FieldCode::Invalid, "takes ASCII letters, digits, '.', '_' and '-' only");
        }
        match text.len() {
            0..3 => error(FieldCode::TooShort, "is shorter than 3 characters"),
            3..=64 => Ok(Self(text.to_owned())),
            _ => error(FieldCode::TooLong, "is longer than 64 characters"),
        }
    }

    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id by which it is compared: without its case.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
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
