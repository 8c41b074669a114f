use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Channel, Purpose};

/// A code on its way, as the outbox keeps it sealed. Its `Debug` shows neither code nor address.
#[derive(Clone, Serialize, Deserialize)]
pub struct CodeMessage {
    pub to: String,
    pub channel: Channel,
    pub purpose: Purpose,
    pub code: String,
    pub verification: Uuid,
    pub issue: i64,
    pub tries: u32,
    /// SHA-256 of the destination, in hexadecimal.
    pub destination_hash: String,
    /// What the code's MAC is bound to.
    pub destination: String,
    pub ttl_s: u64,
    /// Microseconds since 1970.
    pub expires_at: i64,
    /// The person's own.
    #[serde(default)]
    pub locale: Option<String>,
}

impl CodeMessage {
    /// What templates are tried with.
    pub fn sample(purpose: Purpose, channel: Channel, to: &str, locale: &str) -> Self {
        Self {
            to: to.to_owned(),
            channel,
            purpose,
            code: "012345".to_owned(),
            verification: Uuid::nil(),
            issue: 1,
            tries: 5,
            destination_hash: String::new(),
            destination: to.to_owned(),
            ttl_s: 300,
            expires_at: 0,
            locale: Some(locale.to_owned()),
        }
    }
}

/// Tells somebody what became of their account; it holds no code.
#[derive(Clone, Serialize, Deserialize)]
pub struct Notice {
    pub to: String,
    pub channel: Channel,
    pub notice: NoticeKind,
    /// The new address, masked.
    pub new_address: Option<String>,
    #[serde(default)]
    pub locale: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    PasswordReset,
    ContactRequested,
    ContactChanged,
}

impl NoticeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_was_reset",
            Self::ContactRequested => "contact_change_requested",
            Self::ContactChanged => "contact_was_changed",
        }
    }
}

/// What the outbox keeps, sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outgoing {
    Code(CodeMessage),
    Notice(Notice),
}

impl Outgoing {
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers always are JSON")
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notice({})", self.notice.as_str())
    }
}

impl fmt::Debug for CodeMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeMessage({}, {})", self.verification, self.issue)
    }
}
