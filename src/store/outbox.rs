//! The outbox: messages that wait to be sent.

use uuid::Uuid;

use super::{
    Reader, StoreError, Tx, Writer,
    connection::{execute, fetch, write_once},
    dialect::statements,
};
use crate::domain::{DeliveryState, DestinationHash, Timestamp};

/// A message for the outbox, written beside the state that it belongs to.
#[derive(Debug, Clone)]
pub struct QueuedMessage {
    /// The verification and the generation of its code; `None` for a notice.
    pub verification: Option<(Uuid, i64)>,
    /// A phantom's, which ends without a provider.
    pub phantom: bool,
    /// The account that it names.
    pub user: Option<Uuid>,
    /// Its address, masked.
    pub destination: String,
    /// The payload, sealed.
    pub body: Vec<u8>,
    /// When it becomes worthless.
    pub deadline: Timestamp,
    /// Where its trace goes on.
    pub traceparent: Option<String>,
}

/// A message that a worker has until its lease ends.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct LeasedMessage {
    /// Its number.
    pub id: i64,
    /// The verification of its code.
    pub verification_id: Option<Uuid>,
    /// The generation of its code.
    pub generation: Option<i64>,
    /// A phantom's, which ends without a provider.
    pub phantom: bool,
    /// The account that it names.
    pub user_id: Option<Uuid>,
    /// The payload, sealed.
    pub body: Vec<u8>,
    /// The provider that was tried last.
    pub provider: Option<String>,
    /// Why that did not take it.
    pub last_error: Option<String>,
    /// Leases so far.
    pub attempts: i32,
    /// When it becomes worthless.
    pub deadline: Timestamp,
    /// Where its trace goes on.
    pub traceparent: Option<String>,
}

/// The last try of a message; nothing, if it was not tried.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    /// The provider that was tried.
    pub provider: Option<&'static str>,
    /// Why it did not take the message.
    pub error: Option<String>,
}

impl LeasedMessage {
    /// The verification of its code, and the generation; `None` for a notice.
    pub fn verification(&self) -> Option<(Uuid, i64)> {
        self.verification_id.zip(self.generation)
    }
}

/// A message as operators see it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct StoredMessage {
    /// Its number.
    pub id: i64,
    /// The verification of its code.
    pub verification_id: Option<Uuid>,
    /// The generation of its code.
    pub generation: Option<i64>,
    /// Its address, masked.
    pub destination: String,
    /// The provider that was tried last.
    pub provider: Option<String>,
    /// Why that did not take it.
    pub last_error: Option<String>,
    /// The payload, sealed; empty once the message has ended.
    pub body: Vec<u8>,
    /// Leases so far.
    pub attempts: i32,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// When it becomes worthless.
    pub deadline: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl StoredMessage {
    /// As [`LeasedMessage::verification`].
    pub fn verification(&self) -> Option<(Uuid, i64)> {
        self.verification_id.zip(self.generation)
    }
}

statements! {
    INSERT = "INSERT INTO outbox (verification_id, generation, phantom, user_id, destination, body, state, attempts, due_at,
        deadline, traceparent) VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, $7, $8, $9)";
    DELETE = "DELETE FROM outbox WHERE id = $1";
    END = "UPDATE outbox SET state = $2, ended_at = $3, body = $4, provider = COALESCE($5, provider),
        last_error = COALESCE($6, last_error) WHERE id = $1";
    SELECT_BY_STATE = "SELECT id, verification_id, generation, destination, provider, last_error, body, attempts, due_at, deadline,
        ended_at FROM outbox
        WHERE state = $1 AND phantom = $2 ORDER BY id LIMIT 1000";
    SELECT_WAITING_FOR = "SELECT o.id, o.verification_id, o.generation, o.destination, o.provider, o.last_error, o.body,
        o.attempts, o.due_at, o.deadline, o.ended_at FROM outbox o JOIN verifications v ON v.id = o.verification_id
        WHERE o.state = 'queued' AND v.destination_hash = $1 ORDER BY o.id";
    SELECT_WAITING = "SELECT count(*), min(due_at) FROM outbox WHERE state = 'queued'";
    MAKE_DUE = "UPDATE outbox SET due_at = $1 WHERE state = 'queued' AND due_at > $2";
    // The CTE keeps LIMIT exact under SKIP LOCKED.
    LEASE = "WITH due AS (SELECT id FROM outbox WHERE state = 'queued' AND due_at <= $1 ORDER BY due_at, id LIMIT $3",
        SKIP_LOCKED, ") UPDATE outbox SET due_at = $2, attempts = attempts + 1 WHERE id IN (SELECT id FROM due)
        RETURNING id, verification_id, generation, phantom, user_id, body, provider, last_error, attempts, deadline,
        traceparent";
    POSTPONE = "UPDATE outbox SET due_at = $2, provider = COALESCE($3, provider), last_error = COALESCE($4, last_error)
        WHERE id = $1 AND state = 'queued'";
}

impl Reader {
    /// The oldest thousand messages in a state, without phantoms.
    pub async fn messages(&mut self, state: DeliveryState) -> Result<Vec<StoredMessage>, StoreError> {
        fetch!(fetch_all, self, SELECT_BY_STATE, [state.as_str(), false])
    }

    /// The codes for an address that wait for a provider.
    pub async fn waiting_for(&mut self, hash: &DestinationHash) -> Result<Vec<StoredMessage>, StoreError> {
        fetch!(fetch_all, self, SELECT_WAITING_FOR, [hash.as_bytes()])
    }

    /// How many messages wait, and when the next one is due.
    pub async fn waiting_messages(&mut self) -> Result<(i64, Option<Timestamp>), StoreError> {
        fetch!(fetch_one, self, SELECT_WAITING, [])
    }
}

impl Writer {
    /// Makes messages due now that are due after `later_than`, and returns how many.
    pub async fn make_due_now(&mut self, now: Timestamp, later_than: Timestamp) -> Result<u64, StoreError> {
        execute!(self, MAKE_DUE, [now, later_than])
    }

    /// Leases due messages until `lease_end`: no other worker gets them before that, and any may after it.
    pub async fn lease_messages(
        &mut self,
        now: Timestamp,
        lease_end: Timestamp,
        limit: usize,
    ) -> Result<Vec<LeasedMessage>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        fetch!(fetch_all, self, LEASE, [now, lease_end, limit])
    }

    /// Puts a message back for another try.
    pub async fn postpone_message(&mut self, id: i64, due_at: Timestamp, tried: &Tried) -> Result<(), StoreError> {
        execute!(self, POSTPONE, [id, due_at, tried.provider, &tried.error]).map(drop)
    }
}

impl Tx {
    /// Queues a message, due at once.
    pub fn enqueue(&mut self, new: &QueuedMessage, now: Timestamp) -> Result<(), StoreError> {
        let (verification, generation) = new.verification.unzip();
        write_once!(
            self,
            Nothing,
            INSERT,
            [
                verification,
                generation,
                new.phantom,
                new.user,
                &new.destination,
                &new.body,
                now,
                new.deadline,
                &new.traceparent
            ]
        )
    }

    /// Deletes a message, which needs to be there still.
    pub fn delete_message(&mut self, id: i64) -> Result<(), StoreError> {
        write_once!(self, Row, DELETE, [id])
    }

    /// Ends a message and empties its body; it needs to be there still, as the account that it names.
    pub fn end_message(
        &mut self,
        id: i64,
        state: DeliveryState,
        tried: &Tried,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        write_once!(self, Row, END, [id, state.as_str(), now, b"".as_slice(), tried.provider, &tried.error])
    }
}
