use crate::domain::{Part, Unavailable};

/// Which of a user's names another account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Email,
    Mobile,
    LoginId,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("another account has the {0:?}")]
    Taken(Taken),
    /// The database ended the transaction for another's sake; run it once more.
    #[error("the transaction lost to another one")]
    Lost,
    /// Another transaction held a row for too long.
    #[error("a statement waited too long for others")]
    Busy,
    #[error("the database refused a statement")]
    Failed(#[source] sqlx::Error),
}

/// `PostgreSQL`'s classes 08 (connection), 53 (resources), 57 (shut down); `SQLite`'s busy, locked,
/// I/O and full, whose extended codes have the plain one in their low octet.
fn is_outage(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "53", "57"].iter().any(|class| code.starts_with(class));
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13))
}

/// `PostgreSQL` names the index (a partial unique one too), `SQLite` the columns.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Unavailable(Unavailable::new(Part::Sql, error)),
                other => Self::Failed(other),
            };
        };
        if database.is_unique_violation() {
            let name = database.constraint().unwrap_or_else(|| database.message());
            match name.trim_start_matches("UNIQUE constraint failed: ") {
                "users_email_key" | "users.email_key" => return Self::Taken(Taken::Email),
                "users_mobile_key" | "users.mobile" => return Self::Taken(Taken::Mobile),
                "users_login_id_key" | "users.login_id_key" => return Self::Taken(Taken::LoginId),
                _ => return Self::Failed(error),
            }
        }
        if database.is_foreign_key_violation() {
            return Self::Lost; // the user was deleted meanwhile
        }
        match database.code().as_deref() {
            Some("40P01" | "40001") => Self::Lost,
            // A lock or a statement took too long: this row's trouble, not the database's.
            Some("55P03" | "57014") => Self::Busy,
            Some(code) if is_outage(code) => Self::Unavailable(Unavailable::new(Part::Sql, error)),
            _ => Self::Failed(error),
        }
    }
}
