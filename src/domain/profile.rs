//! The name and language of a person.

use language_tags::LanguageTag;

use super::{FieldCode, FieldError};

/// A person's name: trimmed, 1 to 200 code points without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    /// Trims the text, and checks its length.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let error = |code, message| Err(FieldError::new("name", code, message));
        let name = text.trim();
        if name.chars().any(char::is_control) {
            return error(FieldCode::Invalid, "must not contain control characters");
        }
        match name.chars().count() {
            0 => error(FieldCode::TooShort, "must not be empty"),
            1..=200 => Ok(Self(name.to_owned())),
            _ => error(FieldCode::TooLong, "must have at most 200 characters"),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A well-formed BCP 47 tag (RFC 5646, 2.2.9), in its canonical case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale(String);

impl Locale {
    /// Checks the form, and corrects the case; `en_US` is taken for `en-US`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        if text.len() > 64 {
            return Err(FieldError::new("locale", FieldCode::TooLong, "must have at most 64 characters"));
        }
        LanguageTag::parse(&text.replace('_', "-")).map(|tag| Self(tag.into_string())).map_err(|_| {
            FieldError::new("locale", FieldCode::Invalid, "is not a BCP 47 language tag, for example en-IN")
        })
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An update of a field that may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldUpdate {
    /// The value stays.
    Keep,
    /// The new value, or none.
    Set(Option<String>),
}

impl FieldUpdate {
    /// Whether the value stays as it is.
    pub fn changes_nothing(&self, current: Option<&String>) -> bool {
        match self {
            Self::Keep => true,
            Self::Set(new) => new.as_ref() == current,
        }
    }
}

impl FieldUpdate {
    /// Whether to write, and the new value.
    pub fn binds(&self) -> (bool, Option<&str>) {
        match self {
            Self::Keep => (false, None),
            Self::Set(value) => (true, value.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_locales_are_checked() {
        assert_eq!(PersonName::parse("  Ann ").unwrap().as_str(), "Ann");
        for name in ["", "   ", "a\u{7}b", &"n".repeat(201)] {
            assert!(PersonName::parse(name).is_err(), "{name:?}");
        }
        assert_eq!(Locale::parse("hi-in").unwrap().as_str(), "hi-IN");
        for locale in ["", "english please", "e", "en--US", "en\u{0}"] {
            assert!(Locale::parse(locale).is_err(), "{locale:?}");
        }
    }
}
