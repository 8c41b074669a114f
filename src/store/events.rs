//! Events that wait for their sinks, in the order of the numbers that the database gives them.

use uuid::Uuid;

use super::{
    Reader, Sql, StoreError, Tx, Writer,
    connection::{execute, fetch, write_rows},
    dialect::statements,
};
use crate::domain::{EventSink, Timestamp};

/// An event to be stored.
#[derive(Debug, Clone)]
pub struct SealedEvent {
    /// Events of one key go in order.
    pub order_key: Uuid,
    /// The event, sealed.
    pub body: Vec<u8>,
    /// Whether the body describes the account.
    pub has_user: bool,
}

/// An event that waits for a sink.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct WaitingEvent {
    /// The number that the database gave it.
    pub id: i64,
    /// Events of one key go in order.
    pub order_key: Uuid,
    /// The event, sealed.
    pub body: Vec<u8>,
    /// When it was stored, or put back by an operator.
    pub since: Timestamp,
}

/// An event that some sink has not got, for operators.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct StoredEvent {
    /// The number that the database gave it.
    pub id: i64,
    /// The event, sealed.
    pub body: Vec<u8>,
    /// When RabbitMQ got it.
    pub rabbitmq_at: Option<Timestamp>,
    /// When it was set aside for RabbitMQ.
    pub rabbitmq_aside_at: Option<Timestamp>,
    /// When the webhook got it.
    pub webhook_at: Option<Timestamp>,
    /// When it was set aside for the webhook.
    pub webhook_aside_at: Option<Timestamp>,
}

statements! {
    INSERT = "INSERT INTO events (order_key, body, has_user, created_at) VALUES ($1, $2, $3, $4)";
    SELECT_FOR_RABBITMQ = "SELECT id, order_key, body, COALESCE(requeued_at, created_at) AS since FROM events
        WHERE rabbitmq_at IS NULL AND rabbitmq_aside_at IS NULL AND order_key", NOT_IN_UUIDS, " ORDER BY id LIMIT $2";
    SELECT_FOR_WEBHOOK = "SELECT id, order_key, body, COALESCE(requeued_at, created_at) AS since FROM events
        WHERE webhook_at IS NULL AND webhook_aside_at IS NULL AND order_key", NOT_IN_UUIDS, " ORDER BY id LIMIT $2";
    SELECT_WITH_USER = "SELECT id, body FROM events WHERE order_key = $1 AND has_user";
    REPLACE_WITHOUT_USER = "UPDATE events SET body = $2, has_user = FALSE WHERE id = $1";
    SELECT_STORED = "SELECT id, body, rabbitmq_at, rabbitmq_aside_at, webhook_at, webhook_aside_at FROM events
        ORDER BY id LIMIT $1";
    COUNT_FOR_RABBITMQ = "SELECT COUNT(*), MIN(created_at) FROM events
        WHERE rabbitmq_at IS NULL AND rabbitmq_aside_at IS NULL";
    COUNT_FOR_WEBHOOK = "SELECT COUNT(*), MIN(created_at) FROM events
        WHERE webhook_at IS NULL AND webhook_aside_at IS NULL";
    DELETE = "DELETE FROM events WHERE id", IN_NUMBERS;
    // In the order of the numbers, so that the two sinks wait for each other and never in a circle.
    MARK_RABBITMQ = "UPDATE events SET rabbitmq_at = $2
        WHERE id IN (SELECT id FROM events WHERE id", IN_NUMBERS, " ORDER BY id", FOR_UPDATE, ")";
    MARK_WEBHOOK = "UPDATE events SET webhook_at = $2
        WHERE id IN (SELECT id FROM events WHERE id", IN_NUMBERS, " ORDER BY id", FOR_UPDATE, ")";
    DELETE_OF_BOTH = "DELETE FROM events WHERE rabbitmq_at IS NOT NULL AND webhook_at IS NOT NULL AND id", IN_NUMBERS;
    DELETE_OF_RABBITMQ = "DELETE FROM events WHERE rabbitmq_at IS NOT NULL";
    SET_ASIDE_RABBITMQ = "UPDATE events SET rabbitmq_aside_at = $2 WHERE id = $1";
    SET_ASIDE_WEBHOOK = "UPDATE events SET webhook_aside_at = $2 WHERE id = $1";
    REQUEUE_RABBITMQ = "UPDATE events SET rabbitmq_aside_at = NULL, requeued_at = $1
        WHERE rabbitmq_aside_at IS NOT NULL";
    REQUEUE_WEBHOOK = "UPDATE events SET webhook_aside_at = NULL, requeued_at = $1 WHERE webhook_aside_at IS NOT NULL";
}

/// The statement of a sink.
fn of(sink: EventSink, rabbitmq: Sql, webhook: Sql) -> Sql {
    match sink {
        EventSink::Rabbitmq => rabbitmq,
        EventSink::Webhook => webhook,
    }
}

fn json(list: impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(&list).map_err(|error| sqlx::Error::Encode(error.into()))
}

impl Reader {
    /// The oldest events that wait for a sink, in order, but for those of some keys.
    pub async fn waiting_events(
        &mut self,
        sink: EventSink,
        without: &[Uuid],
        limit: i64,
    ) -> Result<Vec<WaitingEvent>, StoreError> {
        let without = json(without)?;
        fetch!(fetch_all, self, of(sink, SELECT_FOR_RABBITMQ, SELECT_FOR_WEBHOOK), [&without, limit])
    }

    /// How many events wait for a sink, and since when the oldest does.
    pub async fn event_backlog(&mut self, sink: EventSink) -> Result<(i64, Option<Timestamp>), StoreError> {
        fetch!(fetch_one, self, of(sink, COUNT_FOR_RABBITMQ, COUNT_FOR_WEBHOOK), [])
    }

    /// The oldest events that some sink has not got.
    pub async fn stored_events(&mut self, limit: i64) -> Result<Vec<StoredEvent>, StoreError> {
        fetch!(fetch_all, self, SELECT_STORED, [limit])
    }
}

impl Writer {
    /// Deletes events. A lower number may still be on its way to commit, so no high-water mark would do.
    pub async fn delete_events(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        let ids = json(ids)?;
        execute!(self, DELETE, [&ids]).map(drop)
    }

    /// Deletes what RabbitMQ has and a webhook that is no more has not.
    pub async fn delete_events_of_rabbitmq(&mut self) -> Result<u64, StoreError> {
        execute!(self, DELETE_OF_RABBITMQ, [])
    }

    /// Sets an event aside for a sink; those after it go on.
    pub async fn set_aside_event(&mut self, id: i64, sink: EventSink, now: Timestamp) -> Result<(), StoreError> {
        execute!(self, of(sink, SET_ASIDE_RABBITMQ, SET_ASIDE_WEBHOOK), [id, now]).map(drop)
    }

    /// Puts all events that were set aside for a sink back, and returns how many.
    pub async fn requeue_events(&mut self, sink: EventSink, now: Timestamp) -> Result<u64, StoreError> {
        execute!(self, of(sink, REQUEUE_RABBITMQ, REQUEUE_WEBHOOK), [now])
    }
}

impl Tx {
    /// Stores that a sink has these events, and deletes those that the other has too. In one transaction: of two
    /// sinks that mark one event, the later sees the mark of the other.
    pub async fn mark_events(&mut self, ids: &[i64], sink: EventSink, now: Timestamp) -> Result<(), StoreError> {
        let ids = json(ids)?;
        execute!(self, of(sink, MARK_RABBITMQ, MARK_WEBHOOK), [&ids, now])?;
        execute!(self, DELETE_OF_BOTH, [&ids]).map(drop)
    }

    /// The waiting events whose bodies describe this account, with their numbers.
    pub async fn events_with_user(&mut self, user: Uuid) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        fetch!(fetch_all, self, SELECT_WITH_USER, [user])
    }

    /// Replaces the body of an event by one that describes nobody.
    pub async fn replace_without_user(&mut self, id: i64, body: &[u8]) -> Result<(), StoreError> {
        execute!(self, REPLACE_WITHOUT_USER, [id, body]).map(drop)
    }

    /// Numbers and stores sealed events, beside the state that they report.
    pub fn append_events(&mut self, sealed: &[SealedEvent], now: Timestamp) -> Result<(), StoreError> {
        write_rows!(self, Nothing, INSERT, sealed, |event| [event.order_key, &event.body, event.has_user, now])
    }
}
