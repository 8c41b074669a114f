//! Messages: what a person reads, as the outbox keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Address, AppHash, Purpose, Timestamp, Way};

/// A message as the outbox keeps it, sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MessagePayload {
    /// A one-time code.
    Code(CodeMessage),
    /// News about an account, without a code.
    Notice(Notice),
}

/// A one-time code on its way to a person. Its `Debug` shows neither the code nor the address.
#[derive(Clone, Serialize, Deserialize)]
pub struct CodeMessage {
    /// Where it goes; the code's MAC is bound to its key.
    pub to: Address,
    /// The code's purpose.
    pub purpose: Purpose,
    /// The digits.
    pub code: String,
    /// The verification that the code belongs to.
    pub verification_id: Uuid,
    /// The number of the code among the verification's.
    pub generation: i64,
    /// Wrong attempts that the code allows.
    pub tries: u32,
    /// How long the code lives from its issue, in seconds.
    pub ttl_s: u64,
    /// When the code expires.
    pub expires_at: Timestamp,
    /// The person's language.
    pub locale: Option<String>,
    /// SHA-256 of the login id that it was requested with, beside the address.
    pub login_id_hash: Option<Vec<u8>>,
    /// The Android app that asked for it.
    pub app_hash: Option<AppHash>,
}

/// News about an account, without a code. Its `Debug` does not show the address.
#[derive(Clone, Serialize, Deserialize)]
pub struct Notice {
    /// Where it goes.
    pub to: Address,
    /// The news.
    pub notice: NoticeKind,
    /// The address that it is about, masked.
    pub address: Option<String>,
    /// The person's language.
    pub locale: Option<String>,
}

/// The news that a notice carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The password was reset by a code.
    PasswordReset,
    /// The person replaced the password.
    PasswordChanged,
    /// A change of the email or mobile was requested.
    ContactRequested,
    /// The email or mobile was changed.
    ContactChanged,
    /// The email or mobile was removed.
    ContactRemoved,
    /// The email or mobile opens nothing until it is proven again.
    ContactSuspended,
    /// Somebody registered with the address, which is an account's.
    AlreadyRegistered,
    /// An operator invites the address to register.
    Invited,
}

impl NoticeKind {
    /// Every kind, for checking templates.
    pub const ALL: [Self; 8] = [
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::ContactRequested,
        Self::ContactChanged,
        Self::ContactRemoved,
        Self::ContactSuspended,
        Self::AlreadyRegistered,
        Self::Invited,
    ];

    /// Whether it tells of what was done, not of what anybody may ask for.
    pub fn is_done(self) -> bool {
        !matches!(self, Self::ContactRequested | Self::AlreadyRegistered)
    }

    /// The name of its template.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_was_reset",
            Self::PasswordChanged => "password_was_changed",
            Self::ContactRequested => "contact_change_requested",
            Self::ContactChanged => "contact_was_changed",
            Self::ContactRemoved => "contact_was_removed",
            Self::ContactSuspended => "contact_was_suspended",
            Self::AlreadyRegistered => "already_registered",
            Self::Invited => "invited",
        }
    }
}

/// The owner of a message's sealed body: its verification and the generation of its code, if it has one.
pub fn message_owner(verification: Option<(Uuid, i64)>) -> String {
    verification.map_or_else(|| "notice".to_owned(), |(id, generation)| format!("code {id} {generation}"))
}

impl MessagePayload {
    /// The JSON that is sealed.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers always are JSON")
    }

    /// Reads the JSON that was sealed; `None` for what a newer version wrote.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Where the message goes.
    pub fn to(&self) -> &Address {
        match self {
            Self::Code(code) => &code.to,
            Self::Notice(notice) => &notice.to,
        }
    }

    /// The code, if it carries one.
    pub fn code(&self) -> Option<&CodeMessage> {
        match self {
            Self::Code(code) => Some(code),
            Self::Notice(_) => None,
        }
    }

    /// The purpose of the code, or the kind of the notice.
    pub fn purpose(&self) -> &'static str {
        match self {
            Self::Code(code) => code.purpose.as_str(),
            Self::Notice(notice) => notice.notice.as_str(),
        }
    }
}

impl CodeMessage {
    /// A message with the code `012345`, for checking templates and providers.
    pub fn sample(purpose: Purpose, to: &Address, locale: &str) -> Self {
        Self {
            to: to.clone(),
            purpose,
            code: "012345".to_owned(),
            verification_id: Uuid::nil(),
            generation: 1,
            tries: 5,
            ttl_s: 300,
            expires_at: Timestamp::default(),
            locale: Some(locale.to_owned()),
            login_id_hash: None,
            app_hash: None,
        }
    }

    /// The way that the code was asked for.
    pub fn way(&self) -> Way<'_> {
        Way { purpose: self.purpose, destination: &self.to, login_id_hash: self.login_id_hash.as_deref() }
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notice({})", self.notice.as_str())
    }
}

impl fmt::Debug for CodeMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeMessage({}, {})", self.verification_id, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_survives_the_outbox_and_messages_from_before_it_still_open() {
        let to = Address::from_stored("+919876543210".to_owned());
        let hash = AppHash::parse("FA+9qCX9VSu");
        let code = CodeMessage { app_hash: hash.clone(), ..CodeMessage::sample(Purpose::Login, &to, "en") };
        let json = MessagePayload::Code(code).to_json();
        let app_of = |json: &[u8]| MessagePayload::from_json(json).unwrap().code().unwrap().app_hash.clone();
        assert_eq!(app_of(&json), hash);
        let mut older: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert!(older.as_object_mut().unwrap().remove("app_hash").is_some());
        assert_eq!(app_of(older.to_string().as_bytes()), None);
    }
}
