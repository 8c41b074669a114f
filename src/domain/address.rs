use serde::{Deserialize, Serialize};

use super::{Email, FieldError, Mobile, PhoneRules};

/// By what a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Sms,
    Email,
}

impl Channel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

/// Where a code can be sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    Mobile(Mobile),
    Email(Email),
}

impl Address {
    /// An email where there is an `@`, else a mobile.
    pub fn parse(text: &str, phone: &PhoneRules) -> Result<Self, FieldError> {
        if text.contains('@') {
            Email::parse(text).map(Self::Email)
        } else {
            Mobile::parse(text, phone).map(Self::Mobile)
        }
    }

    pub fn channel(&self) -> Channel {
        match self {
            Self::Mobile(_) => Channel::Sms,
            Self::Email(_) => Channel::Email,
        }
    }

    /// Of a mobile, in two letters.
    pub fn country(&self) -> Option<String> {
        match self {
            Self::Mobile(mobile) => mobile.country(),
            Self::Email(_) => None,
        }
    }

    /// What a request calls it.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Mobile(_) => "mobile",
            Self::Email(_) => "email",
        }
    }

    /// What the provider is told.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Mobile(mobile) => mobile.as_str(),
            Self::Email(email) => email.as_str(),
        }
    }

    /// What it is compared and kept by; a mobile's begins with `+`, an email's has an `@`.
    pub fn key(&self) -> String {
        match self {
            Self::Mobile(mobile) => mobile.as_str().to_owned(),
            Self::Email(email) => email.key(),
        }
    }

    /// From its text or its [`key`](Self::key), as the database keeps them.
    pub fn from_stored(text: String) -> Self {
        if text.starts_with('+') && !text.contains('@') {
            Self::Mobile(Mobile::from_stored(text))
        } else {
            Self::Email(Email::from_stored(text))
        }
    }

    pub fn masked(&self) -> String {
        match self {
            Self::Mobile(mobile) => mobile.masked(),
            Self::Email(email) => email.masked(),
        }
    }
}
