use sqlx::query_as;

use super::{
    Connection, Store, StoreError, Tx,
    connection::{execute, on},
};
use crate::domain::{Guess, History, Purpose, Timestamp};

/// What is known of an address, account or none.
#[derive(Debug, Clone, Default)]
pub struct Destination {
    pub history: History,
    /// Guesses before it don't count.
    pub lifted_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    history: String,
    lifted_at: Option<Timestamp>,
}

impl TryFrom<Row> for Destination {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Self::from_columns(Some(&row.history), row.lifted_at)
    }
}

impl Destination {
    /// A history that can't be read is an error: taken for none, it would open the limits.
    pub(super) fn from_columns(history: Option<&str>, lifted_at: Option<Timestamp>) -> Result<Self, StoreError> {
        let history = history.map(serde_json::from_str).transpose();
        let history = history.map_err(|error| StoreError::Failed(sqlx::Error::Decode(error.into())))?;
        Ok(Self { history: history.unwrap_or_default(), lifted_at: lifted_at.unwrap_or_default() })
    }
}

impl Connection {
    pub async fn destination(&mut self, hash: &[u8]) -> Result<Destination, StoreError> {
        const SELECT: &str = "SELECT history, lifted_at FROM destinations WHERE hash = $1";
        let row: Option<Row> = on!(self, |db| query_as(SELECT).bind(hash).fetch_optional(db))?;
        Ok(row.map(Destination::try_from).transpose()?.unwrap_or_default())
    }
}

impl Tx {
    /// Locks the address' row, which orders all that is issued for it; makes it where there is none.
    pub async fn lock_destination(&mut self, hash: &[u8], now: Timestamp) -> Result<Destination, StoreError> {
        const LOCK: &str = "INSERT INTO destinations (hash, history, touched_at) VALUES ($1, '{}', $2)
            ON CONFLICT (hash) DO UPDATE SET touched_at = excluded.touched_at RETURNING history, lifted_at";
        let row: Row = on!(self, |db| query_as(LOCK).bind(hash).bind(now).fetch_one(db))?;
        row.try_into()
    }

    pub async fn write_history(&mut self, hash: &[u8], history: &History) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE destinations SET history = $2 WHERE hash = $1";
        let json = serde_json::to_string(history).map_err(|error| sqlx::Error::Encode(error.into()))?;
        execute!(self, sqlx::query(UPDATE).bind(hash).bind(json)).map(drop)
    }
}

impl Store {
    pub async fn record_wrong_guess(
        &self,
        hash: &[u8],
        purpose: Purpose,
        guess: Guess,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let mut destination = tx.lock_destination(hash, now).await?;
        destination.history.record_guess(purpose, guess, now);
        tx.write_history(hash, &destination.history).await?;
        tx.commit().await
    }

    /// Forgets what was sent to the address and guessed at it, in the code store too: what it has
    /// from before `now` doesn't count any more.
    pub async fn lift_limits(&self, hash: &[u8], now: Timestamp) -> Result<(), StoreError> {
        const LIFT: &str = "INSERT INTO destinations (hash, history, lifted_at, touched_at) VALUES ($1, '{}', $2, $2)
            ON CONFLICT (hash) DO UPDATE SET history = '{}', lifted_at = excluded.lifted_at, touched_at = excluded.touched_at";
        let mut connection = self.write().await?;
        execute!(connection, sqlx::query(LIFT).bind(hash).bind(now)).map(drop)
    }
}
