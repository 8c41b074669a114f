use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::chain;
use crate::{
    crypto::Keyring,
    domain::{Clock, Event},
    error::Error,
    events::EventPublisher,
    store::Store,
};

/// Publishes what happened, at least once and in order: one node at a time does it.
pub struct Publishing {
    pub store: Store,
    pub keyring: Keyring,
    pub publisher: Arc<dyn EventPublisher>,
    pub clock: Arc<dyn Clock>,
    /// Names this node to the others.
    pub node: Uuid,
    /// Rung at every commit that wrote an event on this node.
    pub wake: Arc<Notify>,
}

/// A node that died loses the right to publish after so long.
const LEASE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_secs(1);
const BATCH: usize = 500;

impl Publishing {
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let published = self.publish_due().await.unwrap_or_else(|error| {
                tracing::warn!(error = %chain(error), "events wait");
                0
            });
            if published < BATCH {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                    _ = stop.changed() => {}
                }
            }
        }
    }

    /// Publishes a batch, where this node is the one that does; tells how many were confirmed.
    pub async fn publish_due(&self) -> Result<usize, Error> {
        let waiting = self.store.waiting_events(i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
        let now = self.clock.now();
        if waiting.is_empty() || !self.store.take_lease("events", self.node, now, now.plus(LEASE)).await? {
            return Ok(0);
        }
        // Read again under the lease: the node that had it may have published these.
        let waiting = self.store.waiting_events(i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
        let mut events = Vec::with_capacity(waiting.len());
        for event in &waiting {
            let opened = self.keyring.open(&event.body);
            let Some(read) = opened.and_then(|json| serde_json::from_slice::<Event>(&json).ok()) else {
                tracing::error!(
                    event.id,
                    "an event's seal can't be opened: its key is gone, or a newer version wrote it"
                );
                break; // those after it wait, for their order is promised
            };
            events.push(read);
        }
        let confirmed = self.publisher.publish(&events).await;
        let ids: Vec<i64> = waiting.iter().take(confirmed).map(|event| event.id).collect();
        if !ids.is_empty() {
            self.store.remove_events(&ids).await?;
        }
        Ok(confirmed)
    }
}
