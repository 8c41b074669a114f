use sqlx::query_as;
use uuid::Uuid;

use super::{
    Store, StoreError, Tx,
    connection::{execute, on},
};
use crate::domain::{DeliveryState, Timestamp};

/// A message to be, written beside the state that it belongs to.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// With the number of the code's issue.
    pub verification: Option<(Uuid, i64)>,
    /// A phantom's: it ends without a provider.
    pub void: bool,
    /// The account that it names.
    pub user: Option<Uuid>,
    /// Sealed.
    pub body: Vec<u8>,
    /// Nothing is sent after it.
    pub deadline: Timestamp,
}

/// A message that this worker has till its lease ends.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ClaimedMessage {
    pub id: i64,
    pub verification_id: Option<Uuid>,
    pub issue: Option<i64>,
    pub void: bool,
    pub body: Vec<u8>,
    pub attempts: i32,
    pub deadline: Timestamp,
}

/// The CTE keeps LIMIT exact under SKIP LOCKED.
macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "WITH due AS (SELECT id FROM outbox WHERE state = 'queued' AND due_at <= $1 ORDER BY due_at, id LIMIT $3 ",
            $lock,
            ") UPDATE outbox SET due_at = $2, attempts = attempts + 1 WHERE id IN (SELECT id FROM due)
             RETURNING id, verification_id, issue, void, body, attempts, deadline"
        )
    };
}

impl Tx {
    pub async fn enqueue(&mut self, new: &NewMessage, now: Timestamp) -> Result<(), StoreError> {
        const INSERT: &str =
            "INSERT INTO outbox (verification_id, issue, void, body, state, attempts, due_at, deadline, user_id)
            VALUES ($1, $2, $3, $4, 'queued', 0, $5, $6, $7)";
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(new.verification.map(|(id, _)| id))
                .bind(new.verification.map(|(_, issue)| issue))
                .bind(new.void)
                .bind(&new.body)
                .bind(now)
                .bind(new.deadline)
                .bind(new.user)
        )
        .map(drop)
    }

    /// Ends a message and empties its body.
    pub async fn end_message(&mut self, id: i64, state: DeliveryState, now: Timestamp) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE outbox SET state = $2, ended_at = $3, body = $4 WHERE id = $1";
        let emptied: &[u8] = &[];
        execute!(self, sqlx::query(UPDATE).bind(id).bind(state.as_str()).bind(now).bind(emptied)).map(drop)
    }
}

/// A message as operators see it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct KeptMessage {
    pub id: i64,
    pub verification_id: Option<Uuid>,
    /// Sealed; empty once it has ended.
    pub body: Vec<u8>,
    pub attempts: i32,
    pub due_at: Timestamp,
    pub deadline: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl Store {
    /// Messages in a state, but for nobody's; the oldest thousand.
    pub async fn kept_messages(&self, state: DeliveryState) -> Result<Vec<KeptMessage>, StoreError> {
        const SELECT: &str = "SELECT id, verification_id, body, attempts, due_at, deadline, ended_at FROM outbox
            WHERE state = $1 AND void = $2 ORDER BY id LIMIT 1000";
        let mut connection = self.read().await?;
        on!(connection, |db| query_as(SELECT).bind(state.as_str()).bind(false).fetch_all(db))
    }

    /// Makes messages due now that would be after `later_than`, and tells how many.
    pub async fn hasten_messages(&self, now: Timestamp, later_than: Timestamp) -> Result<u64, StoreError> {
        const UPDATE: &str = "UPDATE outbox SET due_at = $1 WHERE state = 'queued' AND due_at > $2";
        let mut connection = self.write().await?;
        execute!(connection, sqlx::query(UPDATE).bind(now).bind(later_than))
    }

    /// Takes due messages until `lease_end`; nobody else gets them before, and everybody after.
    pub async fn claim_messages(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        most: usize,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let sql = if self.is_embedded() { claim!("") } else { claim!("FOR UPDATE SKIP LOCKED") };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut connection = self.write().await?;
        on!(connection, |db| query_as(sql).bind(now).bind(lease_end).bind(most).fetch_all(db))
    }

    /// Puts a message back for another try.
    pub async fn postpone_message(&self, id: i64, due_at: Timestamp) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE outbox SET due_at = $2 WHERE id = $1 AND state = 'queued'";
        let mut connection = self.write().await?;
        execute!(connection, sqlx::query(UPDATE).bind(id).bind(due_at)).map(drop)
    }

    /// When the next message is due, and how many wait.
    pub async fn waiting_messages(&self) -> Result<(i64, Option<Timestamp>), StoreError> {
        const SELECT: &str = "SELECT count(*), min(due_at) FROM outbox WHERE state = 'queued'";
        let mut connection = self.read().await?;
        on!(connection, |db| query_as(SELECT).fetch_one(db))
    }
}
