use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::{
    crypto::Keyring,
    domain::{Event, Happening, Method, Random, Timestamp},
    store::{StoreError, Tx},
};

/// Writes down what happens, in the transaction that makes it happen.
#[derive(Clone)]
pub struct Journal {
    pub keyring: Keyring,
    pub random: Arc<dyn Random>,
    /// Wakes the publisher.
    pub wake: Arc<Notify>,
    /// What is told after the answer and may be dropped.
    pub failures: mpsc::Sender<Event>,
}

impl Journal {
    pub(crate) async fn record(
        &self,
        tx: &mut Tx,
        happened: impl IntoIterator<Item = Happening>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let events: Vec<Event> = happened.into_iter().map(|what| self.event(what, now)).collect();
        self.append(tx, &events).await
    }

    /// Keeps events that were made before.
    pub async fn append(&self, tx: &mut Tx, events: &[Event]) -> Result<(), StoreError> {
        let sealed: Vec<Vec<u8>> = events.iter().map(|event| self.seal(event)).collect();
        tx.append_events(&sealed).await
    }

    /// Commits what was recorded, and wakes the publisher.
    pub async fn commit(&self, tx: Tx) -> Result<(), StoreError> {
        tx.commit().await?;
        self.wake.notify_one();
        Ok(())
    }

    /// A login that failed: written alike for known and unknown, never in the way of the answer.
    pub(crate) fn login_failed(&self, user_id: Option<Uuid>, method: Method, now: Timestamp) {
        let event = self.event(Happening::LoginFailed { user_id, method }, now);
        if self.failures.try_send(event).is_err() {
            tracing::debug!("more logins fail than are written down");
        }
    }

    fn event(&self, what: Happening, now: Timestamp) -> Event {
        Event { id: self.random.id(now), at: now, what }
    }

    fn seal(&self, event: &Event) -> Vec<u8> {
        let json = serde_json::to_vec(event).expect("ids, words and times always are JSON");
        self.keyring.seal(&json, &*self.random)
    }
}
