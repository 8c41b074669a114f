//! An email address.

use std::fmt;

use validator::ValidateEmail as _;

use super::{FieldCode, FieldError};

/// An email address: the local part as typed, the domain in lower-case ASCII (IDNA, UTS 46).
///
/// Two addresses are the same if they differ in ASCII case only, see [`Email::key`]. Dots and `+tags` are
/// kept: only the mail provider knows what they mean.
///
/// ```
/// use enroll::domain::Email;
///
/// let email = Email::parse(" Ann@EXAMPLE.com ").expect("an address");
/// assert_eq!((email.as_str(), email.key().as_str()), ("Ann@example.com", "ann@example.com"));
/// assert_eq!(email.masked(), "a***@example.com");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// RFC 5321, 4.5.3.1.3: a path of 256 octets, less its two angle brackets.
const LONGEST: usize = 254;

impl Email {
    /// Trims the text, and normalises the domain.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let invalid = FieldError::new("email", FieldCode::Invalid, "is not an email address");
        let (local, domain) = text.trim().rsplit_once('@').ok_or(invalid.clone())?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| invalid.clone())?;
        let address = format!("{local}@{domain}");
        if address.len() > LONGEST {
            return Err(FieldError::new("email", FieldCode::TooLong, "must have at most 254 bytes"));
        }
        if !domain.contains('.') || !is_dot_atom(local) || !address.validate_email() {
            return Err(invalid);
        }
        Ok(Self(address))
    }

    /// Restores an address that [`Email::parse`] made.
    pub fn from_stored(address: String) -> Self {
        Self(address)
    }

    /// The address as it is written to.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text by which it is compared: without its ASCII case.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// A form that can be shown to anyone: `a***@example.com`.
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        let first = local.chars().next().unwrap_or('*').to_ascii_lowercase();
        format!("{first}***@{domain}")
    }
}

/// RFC 5322, 3.2.3: no quoted local part, no dot at an end or beside another.
fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && !atom.contains('"'))
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_domain_is_normalised_and_the_local_part_kept() {
        for (typed, kept) in
            [(" Ann.B+x@Example.COM ", "Ann.B+x@example.com"), ("ann@bücher.example", "ann@xn--bcher-kva.example")]
        {
            assert_eq!(Email::parse(typed).unwrap().as_str(), kept);
        }
        assert_eq!(Email::parse("ANN@example.com").unwrap().key(), "ann@example.com");
        assert_eq!(Email::parse("ann@example.com").unwrap().masked(), "a***@example.com");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(300));
        for text in [
            "",
            "@",
            "ann",
            "ann@localhost",
            "a b@example.com",
            "\"a\"@example.com",
            ".a@example.com",
            "a..b@example.com",
            "a@b@c.example",
            "a\u{0}@example.com",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_and_what_passes_is_stable(text in "\\PC{0,80}|[a-zA-Z.+]{1,20}@[a-zA-Z.-]{1,30}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()).unwrap(), email.clone());
                prop_assert!(email.as_str().len() <= LONGEST);
                prop_assert_eq!(email.key(), email.key().to_ascii_lowercase());
            }
        }
    }
}
