//! The pumping guard's counts and decisions, for all nodes.

use super::{
    Reader, StoreError, Writer,
    connection::{execute, fetch},
    dialect::statements,
};
use crate::domain::{
    Timestamp,
    guard::{Delta, HoldState, SlotCount},
};

#[derive(sqlx::FromRow)]
struct CountRow {
    prefix: String,
    slot: i64,
    sent: i64,
    verified: i64,
    unripe: i64,
}

#[derive(sqlx::FromRow)]
struct StateRow {
    held_since: Option<i64>,
    lifted_at: Option<i64>,
    #[sqlx(flatten)]
    excused: CountRow,
}

// The rows of one statement are locked in one order. A node that learns late of a hold does not begin it anew.
statements! {
    ADD = "INSERT INTO prefix_counts (prefix, slot, sent, verified, unripe, changed_at)
        SELECT prefix, slot, sent, verified, unripe, $2 FROM ", DELTAS, " WHERE TRUE ORDER BY prefix, slot
        ON CONFLICT (prefix, slot) DO UPDATE SET sent = prefix_counts.sent + excluded.sent,
        verified = prefix_counts.verified + excluded.verified, unripe = prefix_counts.unripe + excluded.unripe,
        changed_at = excluded.changed_at";
    SET_STATE = "INSERT INTO prefix_states (prefix, held_since, lifted_at, slot, sent, verified, unripe, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (prefix) DO UPDATE SET held_since = CASE
        WHEN prefix_states.held_since < excluded.held_since THEN prefix_states.held_since
        ELSE excluded.held_since END,
        lifted_at = excluded.lifted_at, slot = excluded.slot, sent = excluded.sent, verified = excluded.verified,
        unripe = excluded.unripe, changed_at = excluded.changed_at";
    SELECT_CHANGED = "SELECT prefix, slot, sent, verified, unripe FROM prefix_counts WHERE changed_at > $1";
    SELECT_SINCE = "SELECT prefix, slot, sent, verified, unripe FROM prefix_counts WHERE slot >= $1
        ORDER BY slot, prefix LIMIT $2";
    SELECT_STATES = "SELECT prefix, held_since, lifted_at, slot, sent, verified, unripe FROM prefix_states
        WHERE changed_at > $1 ORDER BY prefix";
}

impl Reader {
    /// The counts that changed after a time, on any node.
    pub async fn changed_prefix_counts(&mut self, after: Timestamp) -> Result<Vec<(String, SlotCount)>, StoreError> {
        let rows: Vec<CountRow> = fetch!(fetch_all, self, SELECT_CHANGED, [after])?;
        Ok(rows.into_iter().map(CountRow::into_count).collect())
    }

    /// The counts from a slot on, ascending by slot; at most `limit`.
    pub async fn prefix_counts(&mut self, slot: i64, limit: i64) -> Result<Vec<(String, SlotCount)>, StoreError> {
        let rows: Vec<CountRow> = fetch!(fetch_all, self, SELECT_SINCE, [slot, limit])?;
        Ok(rows.into_iter().map(CountRow::into_count).collect())
    }

    /// The states that changed after a time, on any node.
    pub async fn changed_prefix_states(&mut self, after: Timestamp) -> Result<Vec<(String, HoldState)>, StoreError> {
        let rows: Vec<StateRow> = fetch!(fetch_all, self, SELECT_STATES, [after])?;
        Ok(rows.into_iter().map(StateRow::into_state).collect())
    }
}

impl Writer {
    /// Adds what is new to the counts of all nodes.
    pub async fn add_prefix_counts(&mut self, new: &[Delta], now: Timestamp) -> Result<(), StoreError> {
        let deltas = serde_json::to_string(new).map_err(|error| sqlx::Error::Encode(error.into()))?;
        execute!(self, ADD, [&deltas, now]).map(drop)
    }

    /// Writes the state of a prefix.
    pub async fn set_prefix_state(&mut self, prefix: &str, state: HoldState, now: Timestamp) -> Result<(), StoreError> {
        let HoldState { held_since, lifted_at, excused } = state;
        let [sent, verified, unripe] = [excused.sent, excused.verified, excused.unripe].map(i64::from);
        execute!(self, SET_STATE, [prefix, held_since, lifted_at, excused.slot, sent, verified, unripe, now]).map(drop)
    }
}

impl CountRow {
    fn into_count(self) -> (String, SlotCount) {
        let counts = [self.sent, self.verified, self.unripe];
        let [sent, verified, unripe] = counts.map(|count| u32::try_from(count.max(0)).unwrap_or(u32::MAX));
        (self.prefix, SlotCount { slot: self.slot, sent, verified, unripe })
    }
}

impl StateRow {
    fn into_state(self) -> (String, HoldState) {
        let (prefix, excused) = self.excused.into_count();
        (prefix, HoldState { held_since: self.held_since, lifted_at: self.lifted_at, excused })
    }
}
