use std::time::Duration;

use uuid::Uuid;

use super::{Happening, Method, Timestamp, User};

/// A login: one row, however often its tokens are renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: Uuid,
    pub user_id: Uuid,
    pub counter: i64,
    pub salt: Vec<u8>,
    pub epoch: i64,
    /// Opened by a one-time code, not by the password.
    pub by_code: bool,
    pub user_agent: Option<String>,
    pub address: Option<String>,
    pub created_at: Timestamp,
    /// The idle end, moved on by each refresh.
    pub ends_at: Timestamp,
    /// The end whatever it does.
    pub expires_at: Timestamp,
}

impl Session {
    pub fn opened(&self) -> Happening {
        let method = if self.by_code { Method::Code } else { Method::Password };
        Happening::UserLoggedIn { user_id: self.user_id, session_id: self.id, method }
    }
}

/// The session that a refresh token belongs to, and which of its tokens it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub session: Uuid,
    pub counter: i64,
    pub salt: [u8; 16],
}

/// A user and the tokens of the session just opened.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    pub user: User,
    pub opened_at: Timestamp,
    pub access_token: String,
    pub access_expires_in: Duration,
    pub refresh_token: String,
    pub refresh_expires_in: Duration,
}

/// A session as its owner sees it in a list.
#[derive(Debug, Clone)]
pub struct ListedSession {
    pub id: Uuid,
    pub user_agent: Option<String>,
    pub address: Option<String>,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
}
