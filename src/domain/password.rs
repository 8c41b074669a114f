use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use super::{Email, FieldCode, FieldError, LoginId, Mobile, common_passwords};

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
    /// A new password: `shortest` to 128 code points, and not among the commonest (NIST SP 800-63B, 3.1.1.2).
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
            _ if common_passwords::has(password.expose()) => {
                error(FieldCode::CommonPassword, "is one of the commonest passwords; choose another")
            }
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

    /// Refuses what everybody knows of the person: their email or what stands before its `@`, their
    /// mobile however it is written, their login id.
    pub fn differs_from(
        &self,
        email: Option<&Email>,
        mobile: Option<&Mobile>,
        login_id: Option<&LoginId>,
    ) -> Result<(), FieldError> {
        let password = self.expose().to_lowercase();
        let digits: String = password.chars().filter(|c| !" +-().".contains(*c)).collect();
        let email = email.map(Email::key);
        let of_email = email.as_ref().is_some_and(|email| {
            *email == password || email.rsplit_once('@').is_some_and(|(local, _)| local == password)
        });
        let of_mobile = mobile.is_some_and(|mobile| {
            let (all, national) = (mobile.as_str().trim_start_matches('+'), mobile.national());
            [all, national].iter().any(|own| digits.trim_start_matches('0') == own.trim_start_matches('0'))
        });
        if of_email || of_mobile || login_id.is_some_and(|login_id| login_id.key() == password) {
            let message = "is your own email, mobile or login id; choose another";
            return Err(FieldError::new("password", FieldCode::OwnIdentifier, message));
        }
        Ok(())
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

    #[test]
    fn common_passwords_are_refused_when_new_only() {
        for common in ["password1", "PASSWORD1", "12345678", "qwertyuiop"] {
            assert_eq!(Password::parse(common, 8).unwrap_err().code, FieldCode::CommonPassword, "{common}");
            assert!(Password::given(common).is_some());
        }
    }

    #[test]
    fn ones_own_names_are_no_passwords() {
        let rules = super::super::PhoneRules { default_region: super::super::Region::IN, allowed_regions: vec![] };
        let email = Email::parse("Ann.Brown@example.com").unwrap();
        let mobile = Mobile::parse("9876543210", &rules).unwrap();
        let login_id = LoginId::parse("Officer.17").unwrap();
        let refused = |text: &str| {
            let password = Password::given(text).unwrap();
            password.differs_from(Some(&email), Some(&mobile), Some(&login_id)).is_err()
        };
        for own in ["ann.brown@EXAMPLE.com", "Ann.Brown", "+91 98765-43210", "9876543210", "09876543210", "officer.17"]
        {
            assert!(refused(own), "{own}");
        }
        for other in ["ann.brown@example.org", "9876543211", "officer.18", "ann brown", ""] {
            assert!(!refused(other), "{other}");
        }
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
