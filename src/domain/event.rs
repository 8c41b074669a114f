use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Channel, Timestamp};

/// Something that happened, for other programs: ids, purposes, channels and times, never an address,
/// a code, a password or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Consumers drop repeats by it.
    pub id: Uuid,
    pub at: Timestamp,
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened, to whom; the tag is the event's type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Happening {
    /// A code goes out; `user_id` is the account's to be.
    #[serde(rename = "registration.requested")]
    RegistrationRequested { user_id: Uuid, channel: Channel },
    #[serde(rename = "user.registered")]
    UserRegistered { user_id: Uuid },
    /// The account is good from here on; the channel that was proven, or none for one made by an operator.
    #[serde(rename = "user.activated")]
    UserActivated { user_id: Uuid, channel: Option<Channel> },
    #[serde(rename = "user.logged_in")]
    UserLoggedIn { user_id: Uuid, session_id: Uuid, method: Method },
    /// Not promised: it is written after the answer, from a buffer that may drop. Nobody's account: null.
    #[serde(rename = "login.failed")]
    LoginFailed { user_id: Option<Uuid>, method: Method },
    /// Without an id: all sessions of the user, but for `but` where one was spared.
    #[serde(rename = "session.revoked")]
    SessionRevoked { user_id: Uuid, session_id: Option<Uuid>, but: Option<Uuid>, reason: Reason },
    #[serde(rename = "password.changed")]
    PasswordChanged { user_id: Uuid, reason: Reason },
    #[serde(rename = "contact.changed")]
    ContactChanged { user_id: Uuid, channel: Channel },
    #[serde(rename = "user.deleted")]
    UserDeleted { user_id: Uuid },
}

/// How somebody shows who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Password,
    Code,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    LoggedOut,
    LoggedOutAll,
    /// By its id, from another session or by an operator.
    Ended,
    /// An account keeps the hundred opened last.
    Crowded,
    /// A refresh token came again after it was replaced.
    Reused,
    PasswordChanged,
    PasswordReset,
    Disabled,
}

impl Happening {
    /// Whose events keep their order.
    pub fn user(&self) -> Option<Uuid> {
        match self {
            Self::LoginFailed { user_id, .. } => *user_id,
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
}
