//! Deleting what is past its keeping.

use super::{Sql, Store, StoreError, connection::fetch, dialect::statements};
use crate::domain::{DAY, KNOWN_FOR, Timestamp};

// Batches are short, so that no statement runs into its time-out and no lock is held for long. Each begins at the time
// where the last one ended: until a vacuum an index keeps what was deleted, and each would read past it again.
macro_rules! batches {
    ($($name:ident = ($table:literal, $key:literal, $at:literal);)+) => {
        statements! {
            $($name = "DELETE FROM ", $table, " WHERE (", $key, ") IN (SELECT ", $key, " FROM ", $table, " WHERE ", $at,
                " BETWEEN $1 AND $2 ORDER BY ", $at, " LIMIT 500) RETURNING ", $at;)+
        }
    };
}

batches! {
    REGISTRATIONS = ("registrations", "id", "expires_at");
    SESSIONS = ("sessions", "id", "ends_at");
    VERIFICATIONS = ("verifications", "id", "expires_at");
    OUTBOX = ("outbox", "id", "ended_at");
    AUDIT_LINES = ("audit", "id", "at");
    DESTINATIONS = ("destinations", "hash", "touched_at");
    INVITATIONS = ("invitations", "hash", "ends_at");
    KNOWN_NETWORKS = ("known_networks", "user_id, network", "seen_at");
    PREFIX_COUNTS = ("prefix_counts", "prefix, slot", "changed_at");
    PREFIX_STATES = ("prefix_states", "prefix", "changed_at");
}

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
        let (mut pruned, mut since) = (0, Timestamp::default());
        loop {
            let mut writer = self.write().await?;
            let batch: Vec<(Timestamp,)> = fetch!(fetch_all, writer, delete, [since, before])?;
            let Some(&(last,)) = batch.iter().max() else { return Ok(pruned) };
            pruned += batch.len() as u64;
            since = last;
        }
    }
}
