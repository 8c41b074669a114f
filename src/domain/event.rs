//! Events: news for other programs.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Channel, Identifiers, Purpose, Timestamp, User};

/// News for other programs: ids, purposes, channels and times, never a code, a password or a token; an address only
/// where an operator asked for personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Consumers drop repeats by it.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// Where its trace goes on (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The account, where its personal data go along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<EventUser>>,
    /// The type, and its data.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// An account as its owner sees it, without what the owner or the operator keep in it. Its `Debug` shows the id alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, clippy::struct_excessive_bools, reason = "the names are those of `GET /users/me`")]
pub struct EventUser {
    pub id: Uuid,
    pub email: Option<String>,
    pub email_verified: bool,
    pub mobile: Option<String>,
    pub mobile_verified: bool,
    pub login_id: Option<String>,
    pub name: Option<String>,
    pub locale: Option<String>,
    pub has_password: bool,
    pub is_active: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl fmt::Debug for EventUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventUser({})", self.id)
    }
}

impl From<User> for EventUser {
    fn from(user: User) -> Self {
        let Identifiers { email, mobile, login_id } = user.identifiers;
        Self {
            id: user.id,
            email: email.map(|email| email.as_str().to_owned()),
            email_verified: user.email_verified,
            mobile: mobile.map(|mobile| mobile.as_str().to_owned()),
            mobile_verified: user.mobile_verified,
            login_id: login_id.map(|login_id| login_id.as_str().to_owned()),
            name: user.name,
            locale: user.locale,
            has_password: user.password_hash.is_some(),
            is_active: user.disabled_at.is_none(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// The type of an event (its tag) and the data that belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
#[expect(missing_docs, reason = "the ids and channels say what they are")]
pub enum EventKind {
    /// A code was issued for a registration; `user_id` is the future account's.
    #[serde(rename = "registration.requested")]
    RegistrationRequested { user_id: Uuid, channel: Channel },
    /// An account was created.
    #[serde(rename = "user.registered")]
    UserRegistered { user_id: Uuid },
    /// An account is active; the channel that was proven, or none for one that an operator created.
    #[serde(rename = "user.activated")]
    UserActivated { user_id: Uuid, channel: Option<Channel> },
    /// A session was opened.
    #[serde(rename = "user.logged_in")]
    UserLoggedIn { user_id: Uuid, session_id: Uuid, method: LoginMethod },
    /// A login failed; null for an unknown account. Not guaranteed: it is written after the answer, from a
    /// buffer that may drop it.
    #[serde(rename = "login.failed")]
    LoginFailed {
        user_id: Option<Uuid>,
        method: LoginMethod,
        /// The client's IP address, or its network, as the log shows it.
        client: String,
    },
    /// A session was revoked; without an id all of the user's, except for `but`.
    #[serde(rename = "session.revoked")]
    SessionRevoked { user_id: Uuid, session_id: Option<Uuid>, but: Option<Uuid>, reason: Reason },
    /// The password was replaced.
    #[serde(rename = "password.changed")]
    PasswordChanged { user_id: Uuid, reason: Reason },
    /// The email or the mobile was replaced, removed or suspended.
    #[serde(rename = "contact.changed")]
    ContactChanged { user_id: Uuid, channel: Channel, change: ContactChange },
    /// The account was deleted.
    #[serde(rename = "user.deleted")]
    UserDeleted { user_id: Uuid },
    /// So many messages went to a country (two letters), or to all (null), that the next ones need a challenge.
    #[serde(rename = "abuse.ceiling_reached")]
    CeilingReached { region: Option<String> },
    /// So many codes of a purpose were wrong that short ones have six digits for an hour.
    #[serde(rename = "limits.wrong_codes_reached")]
    WrongCodesReached { purpose: Purpose },
}

/// A place that events go to; each has a mark of its own on every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSink {
    /// RabbitMQ, or the log where there is none.
    Rabbitmq,
    /// The webhook.
    Webhook,
}

impl Event {
    /// The order that it is told in: its account's, or one of its own.
    pub fn order_key(&self) -> Uuid {
        self.kind.user().unwrap_or(self.id)
    }
}

impl EventSink {
    /// Its name in commands, leases and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rabbitmq => "rabbitmq",
            Self::Webhook => "webhook",
        }
    }
}

/// The name of every type, as the serialization has it.
pub const EVENT_TYPES: [&str; 11] = [
    "registration.requested",
    "user.registered",
    "user.activated",
    "user.logged_in",
    "login.failed",
    "session.revoked",
    "password.changed",
    "contact.changed",
    "user.deleted",
    "abuse.ceiling_reached",
    "limits.wrong_codes_reached",
];

/// How a person authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginMethod {
    /// By the password.
    Password,
    /// By a one-time code.
    Code,
}

/// How an email or a mobile of an account was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactChange {
    /// There is a new one, which is proven.
    Replaced,
    /// There is none any more.
    Removed,
    /// It opens nothing until it is proven again.
    Suspended,
}

/// Why a session was revoked or a password replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Logout.
    LoggedOut,
    /// Logout of all sessions.
    LoggedOutAll,
    /// By its id, from another session or by an operator.
    Ended,
    /// An account keeps the hundred sessions opened last.
    Crowded,
    /// A refresh token was used again after it was replaced.
    Reused,
    /// The person replaced the password.
    PasswordChanged,
    /// The password was reset by a code.
    PasswordReset,
    /// An operator disabled the account.
    Disabled,
}

impl EventKind {
    /// The account whose personal data may go along; after its deletion there are none.
    pub fn described_user(&self) -> Option<Uuid> {
        match self {
            Self::UserRegistered { user_id }
            | Self::UserActivated { user_id, .. }
            | Self::UserLoggedIn { user_id, .. } => Some(*user_id),
            _ => None,
        }
    }

    /// The type and the data, as other programs read them.
    pub fn to_json(&self) -> (String, serde_json::Value) {
        let mut written = serde_json::to_value(self).unwrap_or_default();
        let name = written["type"].as_str().unwrap_or_default().to_owned();
        (name, written["data"].take())
    }

    /// The account whose events keep their order.
    pub fn user(&self) -> Option<Uuid> {
        match self {
            Self::LoginFailed { user_id, .. } => *user_id,
            Self::CeilingReached { .. } | Self::WrongCodesReached { .. } => None,
            Self::RegistrationRequested { user_id, .. }
            | Self::UserRegistered { user_id }
            | Self::UserActivated { user_id, .. }
            | Self::UserLoggedIn { user_id, .. }
            | Self::SessionRevoked { user_id, .. }
            | Self::PasswordChanged { user_id, .. }
            | Self::ContactChanged { user_id, .. }
            | Self::UserDeleted { user_id } => Some(*user_id),
        }
    }

    /// The revocation of one session.
    pub fn revoked(user_id: Uuid, session_id: Uuid, reason: Reason) -> Self {
        Self::SessionRevoked { user_id, session_id: Some(session_id), but: None, reason }
    }

    /// The revocation of all sessions of an account, except for `but`.
    pub fn all_revoked(user_id: Uuid, but: Option<Uuid>, reason: Reason) -> Self {
        Self::SessionRevoked { user_id, session_id: None, but, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_listed() {
        let unknown = serde_json::from_str::<EventKind>(r#"{"type":"?","data":{}}"#).unwrap_err().to_string();
        let known: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, EVENT_TYPES, "{unknown}");
    }
}
