use super::{Store, StoreError, connection::execute};
use crate::domain::Timestamp;

/// A batch is short, so that no statement runs into its time-out and no lock is held for long.
macro_rules! batch {
    ($table:literal, $key:literal, $over:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $key,
            " IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $over,
            " <= $1 LIMIT 500)"
        )
    };
}

const OVER: [&str; 2] = [batch!("registrations", "id", "expires_at"), batch!("sessions", "id", "ends_at")];
const DAY_OVER: [&str; 3] = [
    batch!("verifications", "id", "expires_at"),
    batch!("outbox", "id", "ended_at"),
    batch!("destinations", "hash", "touched_at"),
];
const BATCH: u64 = 500;

impl Store {
    /// Removes what is over, and tells how many rows: registrations and sessions at once,
    /// verifications, messages and destinations a day after their end.
    pub async fn prune(&self, now: Timestamp, day_ago: Timestamp) -> Result<u64, StoreError> {
        let mut pruned = 0;
        for (sql, before) in OVER.map(|sql| (sql, now)).into_iter().chain(DAY_OVER.map(|sql| (sql, day_ago))) {
            loop {
                let mut connection = self.write().await?;
                let rows = execute!(connection, sqlx::query(sql).bind(before))?;
                pruned += rows;
                if rows < BATCH {
                    break;
                }
            }
        }
        Ok(pruned)
    }
}
