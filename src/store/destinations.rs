//! The records of destinations, whether or not an account has them.

use super::{
    Reader, Store, StoreError, Tx, Writer,
    connection::{execute, fetch, write_once},
    dialect::statements,
};
use crate::domain::{AuditLine, CodeHistory, DestinationHash, DestinationRecord, FailedAttempt, Timestamp, Way};

/// A record as columns, which are all empty where there is none.
#[derive(sqlx::FromRow)]
pub(super) struct DestinationRow {
    history: Option<String>,
    lifted_at: Option<Timestamp>,
    version: Option<i64>,
}

impl TryFrom<DestinationRow> for DestinationRecord {
    type Error = StoreError;

    /// A history that cannot be read is an error: taken for an empty one, it would open the limits.
    fn try_from(row: DestinationRow) -> Result<Self, StoreError> {
        let history = row.history.as_deref().map(serde_json::from_str).transpose();
        let history = history.map_err(|error| StoreError::Failed(sqlx::Error::Decode(error.into())))?;
        Ok(Self {
            history: history.unwrap_or_default(),
            lifted_at: row.lifted_at.unwrap_or_default(),
            version: row.version.unwrap_or_default(),
        })
    }
}

statements! {
    SELECT = "SELECT history, lifted_at, version FROM destinations WHERE hash = $1";
    LOCK = "INSERT INTO destinations (hash, address_hash, history, touched_at) VALUES ($1, $2, '{}', $3)
        ON CONFLICT (hash) DO UPDATE SET touched_at = excluded.touched_at RETURNING history, lifted_at, version";
    UPDATE_HISTORY = "UPDATE destinations SET history = $2, version = version + 1 WHERE hash = $1";
    REPLACE_HISTORY = "INSERT INTO destinations (hash, address_hash, history, touched_at, version)
        VALUES ($1, $2, $3, $4, 1) ON CONFLICT (hash) DO UPDATE SET history = excluded.history,
        touched_at = excluded.touched_at, version = destinations.version + 1 WHERE destinations.version = $5";
    LIFT = "INSERT INTO destinations (hash, history, lifted_at, touched_at) VALUES ($1, '{}', $2, $2)
        ON CONFLICT (hash) DO UPDATE SET history = '{}', lifted_at = excluded.lifted_at,
        touched_at = excluded.touched_at, version = destinations.version + 1";
    LIFT_PAIRS = "UPDATE destinations SET history = '{}', lifted_at = $2, touched_at = $2, version = version + 1
        WHERE address_hash = $1";
}

impl Reader {
    /// The record of a destination; empty if there is none.
    pub async fn destination(&mut self, hash: &DestinationHash) -> Result<DestinationRecord, StoreError> {
        let row: Option<DestinationRow> = fetch!(fetch_optional, self, SELECT, [hash.as_bytes()])?;
        Ok(row.map(DestinationRecord::try_from).transpose()?.unwrap_or_default())
    }
}

impl Writer {
    /// Forgets what was sent to the destination and attempted there, in the code store too: attempts before
    /// `now` no longer count.
    pub async fn lift_limits(&mut self, hash: &DestinationHash, now: Timestamp) -> Result<(), StoreError> {
        execute!(self, LIFT, [hash.as_bytes(), now])?;
        execute!(self, LIFT_PAIRS, [hash.as_bytes(), now]).map(drop)
    }
}

impl Tx {
    /// Locks the way's record, which orders all codes that are issued so; creates it if there is none.
    pub async fn lock_destination(&mut self, way: Way<'_>, now: Timestamp) -> Result<DestinationRecord, StoreError> {
        let address = way.address_hash();
        let address = address.as_ref().map(DestinationHash::as_bytes);
        let key = way.record_key();
        let row: DestinationRow = fetch!(fetch_one, self, LOCK, [key.as_bytes(), address, now])?;
        row.try_into()
    }

    /// Writes the history of the way, which needs to be at the version that was read.
    pub fn replace_history(
        &mut self,
        way: Way<'_>,
        record: &DestinationRecord,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(&record.history).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let (key, address) = (way.record_key(), way.address_hash());
        let address = address.as_ref().map(DestinationHash::as_bytes);
        write_once!(self, Row, REPLACE_HISTORY, [key.as_bytes(), address, &json, now, record.version])
    }

    /// Writes the history of a locked destination.
    pub fn update_history(&mut self, hash: &DestinationHash, history: &CodeHistory) -> Result<(), StoreError> {
        let json = serde_json::to_string(history).map_err(|error| sqlx::Error::Encode(error.into()))?;
        write_once!(self, Nothing, UPDATE_HISTORY, [hash.as_bytes(), &json])
    }
}

impl Store {
    /// Records a wrong code, in a transaction of its own.
    pub async fn record_failed_attempt(
        &self,
        way: Way<'_>,
        attempt: FailedAttempt,
        line: &AuditLine,
    ) -> Result<(), StoreError> {
        let now = line.at;
        let mut tx = self.begin().await?;
        let mut destination = tx.lock_destination(way, now).await?;
        destination.history.record_failed_attempt(way.purpose, attempt, now);
        tx.update_history(&way.record_key(), &destination.history)?;
        let line = tx.unless_gone(line.clone()).await?;
        tx.append_audit(&[line])?;
        tx.commit().await
    }
}
