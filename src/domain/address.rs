//! An email or a mobile: where a message can go.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DestinationHash, Email, FieldError, Mobile, PhoneRules};

/// How a message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A text message.
    Sms,
    /// An email.
    Email,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 2] = [Self::Sms, Self::Email];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

/// An email or a mobile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A mobile number.
    Mobile(Mobile),
    /// An email address.
    Email(Email),
}

impl Address {
    /// Parses an email if there is an `@`, otherwise a mobile.
    pub fn parse(text: &str, phone: &PhoneRules) -> Result<Self, FieldError> {
        if text.contains('@') {
            Email::parse(text).map(Self::Email)
        } else {
            Mobile::parse(text, phone).map(Self::Mobile)
        }
    }

    /// The channel that reaches it.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Mobile(_) => Channel::Sms,
            Self::Email(_) => Channel::Email,
        }
    }

    /// The country of a mobile, in two letters.
    pub fn country(&self) -> Option<String> {
        match self {
            Self::Mobile(mobile) => mobile.country(),
            Self::Email(_) => None,
        }
    }

    /// The request field that holds it.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Mobile(_) => "mobile",
            Self::Email(_) => "email",
        }
    }

    /// The text that a provider is given.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Mobile(mobile) => mobile.as_str(),
            Self::Email(email) => email.as_str(),
        }
    }

    /// The text by which it is compared and stored; a mobile's begins with `+`, an email's has an `@`.
    pub fn key(&self) -> String {
        match self {
            Self::Mobile(mobile) => mobile.as_str().to_owned(),
            Self::Email(email) => email.key(),
        }
    }

    /// The hash of its [`key`](Self::key).
    pub fn hash(&self) -> DestinationHash {
        DestinationHash::of_key(&self.key())
    }

    /// Restores an address from its stored text or [`key`](Self::key).
    pub fn from_stored(text: String) -> Self {
        if text.starts_with('+') && !text.contains('@') {
            Self::Mobile(Mobile::from_stored(text))
        } else {
            Self::Email(Email::from_stored(text))
        }
    }

    /// A form that can be shown to anyone: `+91******3210`, `a***@example.com`.
    pub fn masked(&self) -> String {
        match self {
            Self::Mobile(mobile) => mobile.masked(),
            Self::Email(email) => email.masked(),
        }
    }
}

/// As the text that a provider is given.
impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from_stored)
    }
}
