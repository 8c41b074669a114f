//! Events: news for other programs.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Channel, Purpose, Timestamp};

/// News for other programs: ids, purposes, channels and times, never an address, a code, a password or a
/// token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Consumers drop repeats by it.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// Where its trace goes on (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The type, and its data.
    #[serde(flatten)]
    pub kind: EventKind,
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
