//! Relaying events from the database to the publisher.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{back_off, chain};
use crate::{
    domain::{Event, Timestamp},
    engine::Core,
    error::Error,
    events::{EventPublisher, PublishOutcome},
    store::WaitingEvent,
};

/// Publishes events at least once and in order; one node at a time does it.
pub struct EventRelay {
    pub(crate) core: Core,
    pub(crate) publisher: Arc<dyn EventPublisher>,
    /// Identifies this node to the others.
    pub(crate) node: Uuid,
    /// Notified at every commit that wrote an event on this node.
    pub(crate) wake: Arc<Notify>,
    /// Events that no queue receives are set aside, not dropped.
    pub(crate) keep_unroutable: bool,
}

/// The lease of a node that died ends then.
const LEASE: Duration = Duration::from_secs(10);
/// Other nodes' events are looked for this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Under load events gather for so long: a batch costs as much as one.
const LINGER: Duration = Duration::from_millis(50);
const BATCH: usize = 500;

/// How a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All of it was published, and there may be more.
    More,
    Done,
    Failed,
}

impl EventRelay {
    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let outcome = self.publish_waiting().await.unwrap_or_else(|error| {
                tracing::warn!(error = %chain(error), "events wait");
                Outcome::Failed
            });
            failures = if outcome == Outcome::Failed { failures + 1 } else { 0 };
            let pause = match outcome {
                Outcome::More => continue,
                Outcome::Done => INTERVAL,
                Outcome::Failed => back_off(&*self.core.random, failures),
            };
            tokio::select! {
                () = self.wake.notified(), if outcome == Outcome::Done => tokio::time::sleep(LINGER).await,
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Publishes a batch, if this node has the lease.
    async fn publish_waiting(&self) -> Result<Outcome, Error> {
        let now = self.core.now();
        if self.waiting(1).await?.is_empty() || !self.take_lease(now).await? {
            return Ok(Outcome::Done);
        }
        // Read under the lease: the node that had it may have published some.
        let waiting = self.waiting(BATCH).await?;
        let events: Vec<Event> = waiting.iter().map_while(|event| self.open(event)).collect();
        let outcomes = self.publisher.publish(&events).await;
        let published = outcomes.len();
        self.settle(waiting.iter().zip(&events).zip(outcomes), now).await?;
        Ok(match published {
            published if published < waiting.len() => Outcome::Failed,
            BATCH => Outcome::More,
            _ => Outcome::Done,
        })
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<WaitingEvent>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.core.store.read().await?.waiting_events(limit).await?)
    }

    async fn take_lease(&self, now: Timestamp) -> Result<bool, Error> {
        Ok(self.core.store.write().await?.take_lease("events", self.node, now, now.plus(LEASE)).await?)
    }

    /// `None` stops the batch: the events after it wait, because their order is promised.
    fn open(&self, event: &WaitingEvent) -> Option<Event> {
        let opened = self.core.keyring.open(&event.body);
        let event_or_none = opened.and_then(|json| serde_json::from_slice(&json).ok());
        if event_or_none.is_none() {
            tracing::error!(event.id, "an event cannot be opened: its key is gone, or a newer version wrote it");
        }
        event_or_none
    }

    /// Deletes confirmed events; one that no queue received is dropped or set aside.
    async fn settle<'a>(
        &self,
        outcomes: impl Iterator<Item = ((&'a WaitingEvent, &'a Event), PublishOutcome)>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut done = Vec::new();
        for ((waiting, event), outcome) in outcomes {
            if outcome == PublishOutcome::Unroutable {
                tracing::warn!(event.id = %event.id, kept = self.keep_unroutable, "no queue received an event");
                if self.keep_unroutable {
                    self.core.store.write().await?.set_aside_event(waiting.id, now).await?;
                    continue;
                }
            }
            done.push(waiting.id);
        }
        if !done.is_empty() {
            self.core.store.write().await?.delete_events(&done).await?;
        }
        Ok(())
    }
}
