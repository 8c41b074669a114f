//! Failures of the database, by what a caller can do about them.

use crate::domain::{Dependency, TakenIdentifier, Unavailable};

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not do it, and may do it later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Another account has the identifier.
    #[error("another account has the {0:?}")]
    Taken(TakenIdentifier),
    /// Another transaction came first; run once more, this one may pass.
    #[error("the transaction conflicted with another one")]
    Conflict,
    /// A row that a write needs is gone, or has changed since it was read.
    #[error("a row that is needed is gone or has changed")]
    Stale,
    /// Another transaction held a row for too long.
    #[error("a statement waited too long for other transactions")]
    LockTimeout,
    /// Anything else.
    #[error("the database refused a statement")]
    Failed(#[source] sqlx::Error),
}

/// PostgreSQL's classes 08 (connection), 53 (resources) and 57 (shut-down), and 25006 (read only: a standby, or an
/// operator's setting); SQLite's busy, locked, read only, I/O and full, whose extended codes have the primary one in
/// their low octet.
fn is_outage(code: &str) -> bool {
    if code.len() == 5 {
        return code == "25006" || ["08", "53", "57"].iter().any(|class| code.starts_with(class));
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13))
}

/// PostgreSQL names the violated index (a partial unique one too), SQLite the columns.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Unavailable(Unavailable::new(Dependency::Sql, error)),
                other => Self::Failed(other),
            };
        };
        if database.is_unique_violation() {
            let name = database.constraint().unwrap_or_else(|| database.message());
            match name.trim_start_matches("UNIQUE constraint failed: ") {
                "users_email_key" | "users.email_key" => return Self::Taken(TakenIdentifier::Email),
                "users_mobile_key" | "users.mobile" => return Self::Taken(TakenIdentifier::Mobile),
                "users_login_id_key" | "users.login_id_key" => return Self::Taken(TakenIdentifier::LoginId),
                // The registration became this account already, or came first.
                "users_pkey" | "users.id" => return Self::Stale,
                name if name.starts_with("registrations") => return Self::Stale,
                _ => return Self::Failed(error),
            }
        }
        if database.is_foreign_key_violation() {
            return Self::Conflict; // the user was deleted meanwhile
        }
        match database.code().as_deref() {
            Some("40P01" | "40001") => Self::Conflict,
            Some("22012") => Self::Stale, // a batch divides by the rows that it found; SQLite's overflows
            Some("1") if database.message() == "integer overflow" => Self::Stale,
            // A lock or a statement took too long: a row's trouble, not the database's.
            Some("55P03" | "57014") => Self::LockTimeout,
            Some(code) if is_outage(code) => Self::Unavailable(Unavailable::new(Dependency::Sql, error)),
            _ => Self::Failed(error),
        }
    }
}
