//! Sessions and their tokens.

use std::time::Duration;

use uuid::Uuid;

use super::{DestinationHash, EventKind, LoginMethod, Timestamp, User};

/// A login: one row, however often its tokens are renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, the `sid` of access tokens.
    pub id: Uuid,
    /// The account that it belongs to.
    pub user_id: Uuid,
    /// Grows by one with each refresh.
    pub counter: i64,
    /// The last counter whose tokens were seen in use; the first needs no mark, for it replaced none.
    pub used_counter: i64,
    /// Part of its refresh tokens, so that they cannot be made from ids.
    pub salt: Vec<u8>,
    /// The account's epoch at the login: the session is valid only while the two are equal.
    pub epoch: i64,
    /// The address whose code opened it; `None` if the password did.
    pub opened_by: Option<DestinationHash>,
    /// The `User-Agent` of the login.
    pub user_agent: Option<String>,
    /// The client's IP address at the login.
    pub ip: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends if it stays idle; each refresh moves it on.
    pub ends_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

impl Session {
    /// Its refresh token as it stands; `None` if the row was not written by us.
    pub fn refresh_token(&self) -> Option<RefreshToken> {
        let salt = self.salt.as_slice().try_into().ok()?;
        Some(RefreshToken { session: self.id, counter: self.counter, salt })
    }

    /// The event of its login.
    pub fn login_event(&self) -> EventKind {
        let method = if self.opened_by.is_some() { LoginMethod::Code } else { LoginMethod::Password };
        EventKind::UserLoggedIn { user_id: self.user_id, session_id: self.id, method }
    }
}

/// A session that was just opened, and its account.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The account.
    pub user: User,
    /// The session.
    pub session: Session,
    /// Whether the account was made with it.
    pub is_new: bool,
}

/// The session that a refresh token belongs to, and which of its tokens it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session's id.
    pub session: Uuid,
    /// The session's counter when the token was issued.
    pub counter: i64,
    /// The session's salt.
    pub salt: [u8; 16],
}

/// The tokens of a session, and its account.
#[derive(Debug, Clone)]
pub struct SessionTokens {
    /// The account.
    pub user: User,
    /// Whether the account was made with it.
    pub is_new: bool,
    /// When the session was opened.
    pub opened_at: Timestamp,
    /// A JWT.
    pub access_token: String,
    /// How long the access token lives.
    pub access_expires_in: Duration,
    /// When it expires.
    pub access_expires_at: Timestamp,
    /// An opaque token.
    pub refresh_token: String,
    /// How long the refresh token lives.
    pub refresh_expires_in: Duration,
}

/// A session as its owner sees it in a list.
#[derive(Debug, Clone)]
pub struct SessionSummary {
    /// Its id.
    pub id: Uuid,
    /// The `User-Agent` of the login.
    pub user_agent: Option<String>,
    /// The client's IP address at the login.
    pub ip: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When its tokens were last renewed.
    pub last_used_at: Timestamp,
}
