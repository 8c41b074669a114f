use sqlx::{QueryBuilder, query_as};
use uuid::Uuid;

use super::{
    Store, StoreError, Tx,
    connection::{execute, on},
};
use crate::domain::Timestamp;

/// An event to be published, by the number that the database gave it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct WaitingEvent {
    pub id: i64,
    /// Sealed.
    pub body: Vec<u8>,
}

/// A list of ids is bound as JSON.
macro_rules! remove {
    ($ids:literal) => {
        concat!("DELETE FROM events WHERE id IN (", $ids, ")")
    };
}

impl Tx {
    /// Numbers and keeps events beside the state that they tell of.
    pub async fn append_events(&mut self, sealed: &[Vec<u8>]) -> Result<(), StoreError> {
        if sealed.is_empty() {
            return Ok(());
        }
        on!(self, |db| async {
            let mut insert = QueryBuilder::new("INSERT INTO events (body) ");
            insert.push_values(sealed, |mut row, body| {
                row.push_bind(body);
            });
            insert.build().execute(db).await.map(|done| done.rows_affected())
        })
        .map(drop)
    }
}

impl Store {
    /// The oldest that wait, in order.
    pub async fn waiting_events(&self, most: i64) -> Result<Vec<WaitingEvent>, StoreError> {
        const SELECT: &str = "SELECT id, body FROM events WHERE parked_at IS NULL ORDER BY id LIMIT $1";
        let mut connection = self.read().await?;
        on!(connection, |db| query_as(SELECT).bind(most).fetch_all(db))
    }

    /// Forgets events whose publishing is confirmed; a lower number may still be on its way to commit.
    pub async fn remove_events(&self, ids: &[i64]) -> Result<(), StoreError> {
        let sql = if self.is_embedded() {
            remove!("SELECT value FROM json_each($1)")
        } else {
            remove!("SELECT value::bigint FROM json_array_elements_text($1::json)")
        };
        let ids = serde_json::to_string(ids).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let mut connection = self.write().await?;
        execute!(connection, sqlx::query(sql).bind(ids)).map(drop)
    }

    /// Puts an event aside; those after it go on.
    pub async fn park_event(&self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE events SET parked_at = $2 WHERE id = $1";
        let mut connection = self.write().await?;
        execute!(connection, sqlx::query(UPDATE).bind(id).bind(now)).map(drop)
    }

    /// Takes all that were put aside up again, and tells how many.
    pub async fn unpark_events(&self) -> Result<u64, StoreError> {
        const UPDATE: &str = "UPDATE events SET parked_at = NULL WHERE parked_at IS NOT NULL";
        let mut connection = self.write().await?;
        execute!(connection, sqlx::query(UPDATE))
    }

    /// Takes or keeps the right to do something alone; `false` while another node has it.
    pub async fn take_lease(
        &self,
        name: &str,
        holder: Uuid,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Result<bool, StoreError> {
        const UPSERT: &str = "INSERT INTO leases (name, holder, ends_at) VALUES ($1, $2, $4)
            ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at
            WHERE leases.holder = excluded.holder OR leases.ends_at <= $3";
        let mut connection = self.write().await?;
        Ok(execute!(connection, sqlx::query(UPSERT).bind(name).bind(holder).bind(now).bind(ends_at))? == 1)
    }
}
