use std::fmt;

/// Why a field of a request was refused; stable, clients match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldCode {
    Required,
    Invalid,
    TooShort,
    TooLong,
    CommonPassword,
    OwnIdentifier,
    UnsupportedNumber,
    UnsupportedRegion,
    TooManyIdentifiers,
    /// Another account has it (409, not 422).
    Taken,
}

impl FieldCode {
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
            Self::TooManyIdentifiers => "too_many_identifiers",
            Self::Taken => "taken",
        }
    }
}

/// One wrong field. It never holds what was sent: that may be a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub field: &'static str,
    pub code: FieldCode,
    pub message: &'static str,
}

impl FieldError {
    pub const fn new(field: &'static str, code: FieldCode, message: &'static str) -> Self {
        Self { field, code, message }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
