use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::chain;
use crate::{
    crypto::Keyring,
    domain::{Clock, Event, Random, Timestamp},
    error::Error,
    events::{EventPublisher, Published},
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
    /// What nobody listens to is put aside, not dropped.
    pub keep_unroutable: bool,
    pub random: Arc<dyn Random>,
}

/// A node that died loses the right to publish after so long.
const LEASE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_millis(50);
const BATCH: usize = 500;

/// How a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was published, and there may be more.
    More,
    Done,
    Failed,
}

impl Publishing {
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0;
        while !*stop.borrow() {
            let outcome = self.publish_due().await.unwrap_or_else(|error| {
                tracing::warn!(error = %chain(error), "events wait");
                Outcome::Failed
            });
            let wait = match outcome {
                Outcome::More => {
                    failures = 0;
                    continue;
                }
                Outcome::Done => {
                    failures = 0;
                    POLL
                }
                Outcome::Failed => {
                    failures += 1;
                    self.back_off(failures)
                }
            };
            tokio::select! {
                // Under load events gather: a batch costs as much as one.
                () = self.wake.notified(), if outcome == Outcome::Done => tokio::time::sleep(LINGER).await,
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Up to 8 s, with full jitter.
    fn back_off(&self, failures: u32) -> Duration {
        let most = Duration::from_millis(500) * 2_u32.pow(failures.min(4));
        Duration::from_millis(100 + self.random.below(most.as_millis().try_into().unwrap_or(1)))
    }

    /// Publishes a batch, where this node is the one that does.
    pub async fn publish_due(&self) -> Result<Outcome, Error> {
        let most = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let now = self.clock.now();
        if self.store.waiting_events(1).await?.is_empty()
            || !self.store.take_lease("events", self.node, now, now.plus(LEASE)).await?
        {
            return Ok(Outcome::Done);
        }
        // Read under the lease: the node that had it may have published some.
        let waiting = self.store.waiting_events(most).await?;
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
        let published = self.publisher.publish(&events).await;
        let outcomes = waiting.iter().map(|event| event.id).zip(&events).zip(published.iter().copied());
        self.settle(outcomes.map(|((id, event), published)| (id, event, published)), now).await?;
        Ok(match published.len() {
            done if done < waiting.len() => Outcome::Failed,
            BATCH => Outcome::More,
            _ => Outcome::Done,
        })
    }

    /// A confirmed event's row goes; one that nobody listens to is dropped or put aside.
    async fn settle<'a>(
        &self,
        outcomes: impl Iterator<Item = (i64, &'a Event, Published)>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut over = Vec::new();
        for (id, event, published) in outcomes {
            if published == Published::Unroutable {
                tracing::warn!(event.id = %event.id, kept = self.keep_unroutable, "nobody listens to an event");
                if self.keep_unroutable {
                    self.store.park_event(id, now).await?;
                    continue;
                }
            }
            over.push(id);
        }
        if !over.is_empty() {
            self.store.remove_events(&over).await?;
        }
        Ok(())
    }
}
