//! Events that wait to be published, in the order of the numbers that the database gives them.

use sqlx::QueryBuilder;

use super::{
    Reader, StoreError, Tx, Writer,
    connection::{execute, fetch, on},
    dialect::statements,
};
use crate::domain::Timestamp;

/// An event to be published.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct WaitingEvent {
    /// The number that the database gave it.
    pub id: i64,
    /// The event, sealed.
    pub body: Vec<u8>,
}

statements! {
    INSERT = "INSERT INTO events (body, created_at) VALUES ($1, $2)";
    SELECT_WAITING = "SELECT id, body FROM events WHERE set_aside_at IS NULL ORDER BY id LIMIT $1";
    SELECT_BACKLOG = "SELECT COUNT(*), MIN(created_at) FROM events WHERE set_aside_at IS NULL";
    DELETE = "DELETE FROM events WHERE id IN ", NUMBERS;
    SET_ASIDE = "UPDATE events SET set_aside_at = $2 WHERE id = $1";
    REQUEUE = "UPDATE events SET set_aside_at = NULL WHERE set_aside_at IS NOT NULL";
}

impl Reader {
    /// The oldest waiting events, in order.
    pub async fn waiting_events(&mut self, limit: i64) -> Result<Vec<WaitingEvent>, StoreError> {
        fetch!(fetch_all, self, SELECT_WAITING, [limit])
    }

    /// How many events wait, and since when the oldest does.
    pub async fn event_backlog(&mut self) -> Result<(i64, Option<Timestamp>), StoreError> {
        fetch!(fetch_one, self, SELECT_BACKLOG, [])
    }
}

impl Writer {
    /// Deletes events whose publishing was confirmed. A lower number may still be on its way to commit, so no
    /// high-water mark would do.
    pub async fn delete_events(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        let ids = serde_json::to_string(ids).map_err(|error| sqlx::Error::Encode(error.into()))?;
        execute!(self, DELETE, [&ids]).map(drop)
    }

    /// Sets an event aside; those after it go on.
    pub async fn set_aside_event(&mut self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        execute!(self, SET_ASIDE, [id, now]).map(drop)
    }

    /// Puts all events that were set aside back, and returns how many.
    pub async fn requeue_events(&mut self) -> Result<u64, StoreError> {
        execute!(self, REQUEUE, [])
    }
}

impl Tx {
    /// Numbers and stores sealed events, beside the state that they report.
    pub async fn append_events(&mut self, sealed: &[Vec<u8>], now: Timestamp) -> Result<(), StoreError> {
        if sealed.is_empty() {
            return Ok(());
        }
        let named = !self.is_pooled();
        on!(self, INSERT, |db, sql| async {
            let columns = sql.split_once("VALUES").map_or(sql, |(columns, _)| columns);
            let mut insert = QueryBuilder::new(columns);
            insert.push_values(sealed, |mut row, body| {
                row.push_bind(body).push_bind(now);
            });
            insert.build().persistent(named).execute(db).await.map(drop)
        })
    }
}
