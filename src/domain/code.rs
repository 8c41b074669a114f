//! A one-time code.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::{FieldCode, FieldError, Random};

/// A one-time code: 4 to 10 ASCII digits, leading zeros included. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct OneTimeCode(SecretString);

impl OneTimeCode {
    /// Draws a code, uniformly from all of that many digits (NIST SP 800-63B, 3.1.3).
    pub fn generate(random: &dyn Random, digits: u32) -> Self {
        let number = random.below(10_u64.pow(digits));
        let width = digits as usize;
        Self(format!("{number:0width$}").into())
    }

    /// Parses 4 to 10 ASCII digits; blanks and dashes among them are dropped.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let digits: String =
            text.chars().filter(|c| !c.is_whitespace() && !"-\u{2010}\u{2011}\u{2013}".contains(*c)).collect();
        let is_code = (4..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() <= 64 && is_code {
            return Ok(Self(digits.into()));
        }
        Err(FieldError::new("otp", FieldCode::Invalid, "must be a code of 4 to 10 digits"))
    }

    /// The error of a code that has another number of digits than the one that was sent.
    pub fn wrong_length(digits: u32) -> FieldError {
        FieldError::new("otp", FieldCode::Invalid, format!("must have {digits} digits"))
    }

    /// Whether it has this many digits.
    pub fn has_digits(&self, digits: u32) -> bool {
        self.digits() == digits
    }

    /// How many digits it has.
    pub fn digits(&self) -> u32 {
        u32::try_from(self.0.expose_secret().len()).unwrap_or(u32::MAX)
    }

    /// The digits, for hashing and for the message.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OsRandom;

    #[test]
    fn a_code_keeps_its_leading_zeros() {
        let codes: Vec<_> = (0..2_000).map(|_| OneTimeCode::generate(&OsRandom, 4)).collect();
        assert!(codes.iter().all(|code| code.has_digits(4)));
        assert!(codes.iter().any(|code| code.expose().starts_with('0')));
    }

    #[test]
    fn every_digit_is_as_likely_as_another() {
        let mut seen = [0_u32; 10];
        for _ in 0..20_000 {
            let code = OneTimeCode::generate(&OsRandom, 6);
            seen[usize::from(code.expose().as_bytes()[0] - b'0')] += 1;
        }
        // Expected 2,000 each; nine standard deviations is about 380.
        assert!(seen.iter().all(|count| (1_620..2_380).contains(count)), "{seen:?}");
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for text in ["", "123", "12345678901", "12345a", "- -", "１２３４", "12\u{0}34"] {
            assert!(OneTimeCode::parse(text).is_err(), "{text:?}");
        }
    }
}
