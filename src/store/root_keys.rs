//! The ids of the root keys that a database was used with.

use super::{
    Reader, StoreError, Writer,
    connection::{execute, fetch},
    dialect::statements,
};
use crate::domain::Timestamp;

statements! {
    INSERT = "INSERT INTO root_keys (id, first_used_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    SELECT = "SELECT id FROM root_keys ORDER BY first_used_at DESC";
}

impl Reader {
    /// The ids of the root keys that this database was used with, the newest first.
    pub async fn root_key_ids(&mut self) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = fetch!(fetch_all, self, SELECT, [])?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}

impl Writer {
    /// Records that the database is used with a root key.
    pub async fn record_root_key(&mut self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        execute!(self, INSERT, [id, now]).map(drop)
    }
}
