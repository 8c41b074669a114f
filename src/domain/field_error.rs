//! Why a field of a request was refused.

use std::{borrow::Cow, fmt};

/// Why a field of a request was refused; stable, clients match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldCode {
    /// The field is missing.
    Required,
    /// The field has the wrong form.
    Invalid,
    /// Fewer characters than allowed.
    TooShort,
    /// More characters than allowed.
    TooLong,
    /// The password is among the most common ones.
    CommonPassword,
    /// The password is one of the person's identifiers.
    OwnIdentifier,
    /// The number cannot receive text messages.
    UnsupportedNumber,
    /// The number's country is not served.
    UnsupportedRegion,
    /// The email's domain is not accepted.
    UnsupportedDomain,
    /// More identifiers than the call takes.
    TooManyIdentifiers,
    /// Another account has it (409, not 422).
    Taken,
    /// It is not one of those that are listed here.
    Unknown,
}

impl FieldCode {
    /// Every code, for the documentation.
    pub const ALL: [Self; 12] = [
        Self::Required,
        Self::Invalid,
        Self::TooShort,
        Self::TooLong,
        Self::CommonPassword,
        Self::OwnIdentifier,
        Self::UnsupportedNumber,
        Self::UnsupportedRegion,
        Self::UnsupportedDomain,
        Self::TooManyIdentifiers,
        Self::Taken,
        Self::Unknown,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Invalid => "invalid",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::CommonPassword => "common_password",
            Self::OwnIdentifier => "own_identifier",
            Self::UnsupportedNumber => "unsupported_number",
            Self::UnsupportedRegion => "unsupported_region",
            Self::UnsupportedDomain => "unsupported_domain",
            Self::TooManyIdentifiers => "too_many_identifiers",
            Self::Taken => "taken",
            Self::Unknown => "unknown",
        }
    }
}

/// An invalid field. It never holds the value that was sent: that may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the request.
    pub field: &'static str,
    /// The reason, for programs.
    pub code: FieldCode,
    /// The reason, for people; it reads on after the field's name.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// An error of `field`.
    pub fn new(field: &'static str, code: FieldCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field, code, message: message.into() }
    }

    /// The same error of another field.
    #[must_use]
    pub fn at(self, field: &'static str) -> Self {
        Self { field, ..self }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.message)
    }
}
