//! Deleting what is past its keeping.

use super::{Sql, Store, StoreError, connection::execute, dialect::statements};
use crate::domain::Timestamp;

// Batches are short, so that no statement runs into its time-out and no lock is held for long.
statements! {
    REGISTRATIONS = "DELETE FROM registrations WHERE id IN
        (SELECT id FROM registrations WHERE expires_at <= $1 LIMIT 500)";
    SESSIONS = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ends_at <= $1 LIMIT 500)";
    VERIFICATIONS = "DELETE FROM verifications WHERE id IN
        (SELECT id FROM verifications WHERE expires_at <= $1 LIMIT 500)";
    OUTBOX = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE ended_at <= $1 LIMIT 500)";
    AUDIT_LINES = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at <= $1 LIMIT 500)";
    DESTINATIONS = "DELETE FROM destinations WHERE hash IN
        (SELECT hash FROM destinations WHERE touched_at <= $1 LIMIT 500)";
}

const BATCH: u64 = 500;

impl Store {
    /// Deletes what is past its keeping, and returns how many rows: registrations and sessions at their end,
    /// verifications, messages and destinations a day later, lines of the audit in their time.
    pub async fn prune(&self, now: Timestamp, day_ago: Timestamp, audit_until: Timestamp) -> Result<u64, StoreError> {
        let ended = [REGISTRATIONS, SESSIONS].map(|delete| (delete, now));
        let day_old = [VERIFICATIONS, OUTBOX, DESTINATIONS].map(|delete| (delete, day_ago));
        let mut pruned = 0;
        for (delete, before) in ended.into_iter().chain(day_old).chain([(AUDIT_LINES, audit_until)]) {
            pruned += self.prune_table(delete, before).await?;
        }
        Ok(pruned)
    }

    async fn prune_table(&self, delete: Sql, before: Timestamp) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let mut writer = self.write().await?;
            let rows = execute!(writer, delete, [before])?;
            pruned += rows;
            if rows < BATCH {
                return Ok(pruned);
            }
        }
    }
}
