use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use super::{FieldCode, FieldError};

/// A password, normalised as RFC 8265's `OpaqueString` says: other spaces become U+0020, then NFC.
///
/// Any character but a control one is taken, in any composition (NIST SP 800-63B, 3.1.1.2). Its
/// `Debug` shows nothing.
#[derive(Clone)]
pub struct Password(SecretString);

/// In code points, after normalisation.
const LONGEST: usize = 128;
/// Before it: more is not worth normalising.
const LONGEST_OCTETS: usize = 16 * LONGEST;

impl Password {
    /// A new password, judged by its length: `shortest` to 128 code points.
    pub fn parse(text: &str, shortest: usize) -> Result<Self, FieldError> {
        let error = |code, message| Err(FieldError::new("password", code, message));
        if text.len() > LONGEST_OCTETS {
            return error(FieldCode::TooLong, "is longer than 128 characters");
        }
        let Some(password) = Self::given(text) else {
            return error(FieldCode::Invalid, "has a control character");
        };
        match password.expose().chars().count() {
            length if length < shortest => error(FieldCode::TooShort, "has fewer characters than is safe"),
            length if length > LONGEST => error(FieldCode::TooLong, "is longer than 128 characters"),
            _ => Ok(password),
        }
    }

    /// A password to compare with a kept one, whose form is not judged; none that could be kept
    /// has a control character or is so long.
    pub fn given(text: &str) -> Option<Self> {
        if text.len() > LONGEST_OCTETS || text.chars().any(char::is_control) {
            return None;
        }
        let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
        Some(Self(spaced.nfc().collect::<String>().into()))
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_looking_passwords_are_equal() {
        let composed = Password::parse("caf\u{e9} \u{2003}long", 8).unwrap();
        let decomposed = Password::parse("cafe\u{301}  long", 8).unwrap();
        assert_eq!(composed.expose(), decomposed.expose());
    }

    #[test]
    fn length_counts_code_points() {
        assert!(Password::parse("पासवर्ड९", 8).is_ok());
        assert!(Password::parse("🔒🔒🔒🔒🔒🔒🔒", 8).is_err());
        assert!(Password::parse(&"x".repeat(128), 8).is_ok());
        assert!(Password::parse(&"x".repeat(129), 8).is_err());
        assert!(Password::parse("with\u{0}nul-inside", 8).is_err());
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,200}") {
            if let Some(once) = Password::given(&text) {
                let again = Password::given(once.expose()).unwrap();
                prop_assert_eq!(once.expose(), again.expose());
            }
        }
    }
}
