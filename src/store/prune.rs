//! Deleting what is past its keeping.

use super::{Sql, Store, StoreError, connection::execute, dialect::statements};
use crate::domain::{DAY, KNOWN_FOR, Timestamp};

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
    INVITATIONS = "DELETE FROM invitations WHERE hash IN
        (SELECT hash FROM invitations WHERE ends_at <= $1 LIMIT 500)";
    KNOWN_NETWORKS = "DELETE FROM known_networks WHERE (user_id, network) IN
        (SELECT user_id, network FROM known_networks WHERE seen_at <= $1 LIMIT 500)";
    PREFIX_COUNTS = "DELETE FROM prefix_counts WHERE (prefix, slot) IN
        (SELECT prefix, slot FROM prefix_counts WHERE changed_at <= $1 LIMIT 500)";
    PREFIX_STATES = "DELETE FROM prefix_states WHERE prefix IN
        (SELECT prefix FROM prefix_states WHERE changed_at <= $1 LIMIT 500)";
}

const BATCH: u64 = 500;

impl Store {
    /// Deletes what is past its keeping, and returns how many rows: registrations and sessions at their end,
    /// verifications, messages and destinations a day later, the guard's counts a week later, networks after 90
    /// days, lines of the audit in their time.
    pub async fn prune(&self, now: Timestamp, audit_until: Timestamp) -> Result<u64, StoreError> {
        let ended = [REGISTRATIONS, SESSIONS, INVITATIONS].map(|delete| (delete, now));
        let day_old = [VERIFICATIONS, OUTBOX, DESTINATIONS].map(|delete| (delete, now.minus(DAY)));
        let week_old = [PREFIX_COUNTS, PREFIX_STATES].map(|delete| (delete, now.minus(7 * DAY)));
        let other = [(KNOWN_NETWORKS, now.minus(KNOWN_FOR)), (AUDIT_LINES, audit_until)];
        let mut pruned = 0;
        for (delete, before) in ended.into_iter().chain(day_old).chain(week_old).chain(other) {
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
