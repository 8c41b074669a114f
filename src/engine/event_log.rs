//! The event log: events are stored in the transaction that makes them true.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::Core;
use crate::{
    domain::{Client, Event, EventKind, LoginMethod, Timestamp},
    store::{StoreError, Tx},
};

/// Stores events in the transaction that makes them true.
#[derive(Clone)]
pub struct EventLog {
    pub(crate) core: Core,
    /// Wakes the event relay.
    pub(crate) wake: Arc<Notify>,
    /// Best-effort events, written after the response.
    pub(crate) failed_logins: mpsc::Sender<Event>,
}

/// The owner of a sealed event.
pub(crate) const EVENT_SEAL: &str = "event";

impl EventLog {
    /// Stores events; the caller commits by [`commit`](Self::commit).
    pub(crate) async fn append(
        &self,
        tx: &mut Tx,
        kinds: impl IntoIterator<Item = EventKind>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let events: Vec<Event> = kinds.into_iter().map(|kind| self.event(kind, now)).collect();
        self.append_all(tx, &events).await
    }

    /// Stores events that were made before.
    pub(crate) async fn append_all(&self, tx: &mut Tx, events: &[Event]) -> Result<(), StoreError> {
        let sealed: Vec<Vec<u8>> = events.iter().map(|event| self.seal(event)).collect();
        tx.append_events(&sealed, self.core.now()).await
    }

    /// Commits the transaction and wakes the event relay.
    pub(crate) async fn commit(&self, tx: Tx) -> Result<(), StoreError> {
        tx.commit().await?;
        self.wake.notify_one();
        Ok(())
    }

    /// Records a failed login, alike for known and unknown accounts and never in the way of the answer.
    pub(crate) fn login_failed(&self, user_id: Option<Uuid>, method: LoginMethod, client: &Client) {
        let event =
            self.event(EventKind::LoginFailed { user_id, method, client: client.shown.clone() }, self.core.now());
        if self.failed_logins.try_send(event).is_err() {
            tracing::debug!("more logins fail than are recorded");
        }
    }

    fn event(&self, kind: EventKind, now: Timestamp) -> Event {
        Event { id: self.core.random.id(now), at: now, kind }
    }

    fn seal(&self, event: &Event) -> Vec<u8> {
        let json = serde_json::to_vec(event).expect("ids, words and times always are JSON");
        self.core.keyring.seal(EVENT_SEAL, &json, &*self.core.random)
    }
}
