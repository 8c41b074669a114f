use super::{Store, StoreError, connection::execute};
use crate::domain::Timestamp;

/// How many rows were past their keeping.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pruned {
    pub rows: u64,
}

impl Store {
    /// Removes what is over: at once for registrations and sessions, a day after their end for
    /// verifications, messages and destinations. Each statement is a transaction of its own.
    pub async fn prune(&self, now: Timestamp, day_ago: Timestamp) -> Result<Pruned, StoreError> {
        const OVER: [&str; 2] = [
            "DELETE FROM registrations WHERE expires_at <= $1",
            "DELETE FROM sessions WHERE expires_at <= $1 OR ends_at <= $1",
        ];
        const DAY_OVER: [&str; 3] = [
            "DELETE FROM verifications WHERE expires_at <= $1",
            "DELETE FROM outbox WHERE ended_at <= $1",
            "DELETE FROM destinations WHERE touched_at <= $1",
        ];
        let statements = OVER.map(|sql| (sql, now)).into_iter().chain(DAY_OVER.map(|sql| (sql, day_ago)));
        let mut pruned = Pruned::default();
        for (sql, before) in statements {
            let mut connection = self.write().await?;
            pruned.rows += execute!(connection, sqlx::query(sql).bind(before))?;
        }
        Ok(pruned)
    }
}
