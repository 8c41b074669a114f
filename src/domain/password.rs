//! A password.

use std::{borrow::Cow, fmt};

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use super::{FieldCode, FieldError, Identifiers, common_passwords};

/// A password, normalised as an `OpaqueString` (RFC 8265, 4.2): other spaces become U+0020, then NFC.
///
/// All characters are allowed except for control characters, in any composition (NIST SP 800-63B, 3.1.1.2).
/// Its `Debug` shows nothing.
#[derive(Clone)]
pub struct Password(SecretString);

/// Code points, after normalisation.
const LONGEST: usize = 128;
/// Before normalisation: more is not worth normalising.
const LONGEST_OCTETS: usize = 16 * LONGEST;

impl Password {
    /// Parses a new password: `shortest` to 128 code points, and not among the most common ones (NIST SP
    /// 800-63B, 3.1.1.2).
    pub fn parse(text: &str, shortest: usize) -> Result<Self, FieldError> {
        let error = |code, message: Cow<'static, str>| Err(FieldError::new("password", code, message));
        if text.len() > LONGEST_OCTETS {
            return error(FieldCode::TooLong, "must have at most 128 characters".into());
        }
        let Some(password) = Self::for_comparison(text) else {
            return error(FieldCode::Invalid, "must not contain control characters".into());
        };
        match password.expose().chars().count() {
            length if length < shortest => {
                error(FieldCode::TooShort, format!("must have at least {shortest} characters").into())
            }
            length if length > LONGEST => error(FieldCode::TooLong, "must have at most 128 characters".into()),
            _ if common_passwords::has(password.expose()) => {
                error(FieldCode::CommonPassword, "is too common; choose another one".into())
            }
            _ => Ok(password),
        }
    }

    /// Normalises a password for comparison with a stored one, without judging its form; `None` for a text
    /// that cannot be a password.
    pub fn for_comparison(text: &str) -> Option<Self> {
        if text.len() > LONGEST_OCTETS || text.chars().any(char::is_control) {
            return None;
        }
        let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
        Some(Self(spaced.nfc().collect::<String>().into()))
    }

    /// Refuses a new password that is one of the person's identifiers.
    pub fn check_against(&self, own: &Identifiers) -> Result<(), FieldError> {
        if own.is_equal_to(self) {
            let message = "must not be your own email, mobile or login id";
            return Err(FieldError::new("password", FieldCode::OwnIdentifier, message));
        }
        Ok(())
    }

    /// The text, for hashing.
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

    #[test]
    fn common_passwords_are_refused_when_new_only() {
        for common in ["password1", "PASSWORD1", "12345678", "qwertyuiop"] {
            assert_eq!(Password::parse(common, 8).unwrap_err().code, FieldCode::CommonPassword, "{common}");
            assert!(Password::for_comparison(common).is_some());
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,200}") {
            if let Some(once) = Password::for_comparison(&text) {
                let again = Password::for_comparison(once.expose()).unwrap();
                prop_assert_eq!(once.expose(), again.expose());
            }
        }
    }
}
