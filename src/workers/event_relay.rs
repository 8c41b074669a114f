//! Relaying events from the database to RabbitMQ, or the log.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{back_off, chain};
use crate::{
    domain::{Event, EventSink, Timestamp},
    engine::{Core, EVENT_SEAL},
    error::Error,
    events::{EventPublisher, PublishOutcome},
    metrics,
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
    /// Whether there is a webhook too: then an event stays until both have it.
    pub(crate) beside_webhook: bool,
    /// Events that a queue refused, and when each is published again.
    pub(crate) refused: HashMap<i64, Refusal>,
}

/// An event that a queue refused.
pub(crate) struct Refusal {
    failures: u32,
    due_at: Timestamp,
}

const SINK: EventSink = EventSink::Rabbitmq;
/// The lease of a node that died ends then.
const LEASE: Duration = Duration::from_secs(10);
/// Other nodes' events are looked for this often.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// Under load events gather for so long: a batch costs as much as one.
pub(super) const LINGER: Duration = Duration::from_millis(50);
const BATCH: usize = 500;

/// How a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it was published, and there may be more.
    More,
    Done,
    Failed,
}

impl EventRelay {
    /// Runs until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        self.forget_webhook().await;
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

    /// Without a webhook, or with none any more, what RabbitMQ has is done.
    async fn forget_webhook(&self) {
        if self.beside_webhook {
            return;
        }
        let deleted = async { self.core.store.write().await?.delete_events_of_rabbitmq().await };
        match deleted.await {
            Ok(0) => {}
            Ok(events) => tracing::warn!(events, "events were deleted that waited for a webhook which is no more"),
            Err(error) => tracing::warn!(error = %chain(error), "events of a webhook that is no more were not deleted"),
        }
    }

    /// Publishes a batch, if this node has the lease.
    async fn publish_waiting(&mut self) -> Result<Outcome, Error> {
        let now = self.core.now();
        if self.waiting(1).await?.is_empty() || !take_lease(&self.core, "events.rabbitmq", self.node).await? {
            return Ok(Outcome::Done);
        }
        // Read under the lease: the node that had it may have published some.
        let waiting = self.waiting(BATCH).await?;
        self.refused.retain(|id, _| waiting.iter().any(|event| event.id == *id));
        let opened: Vec<(&WaitingEvent, Event)> =
            waiting.iter().map_while(|event| Some((event, open_event(&self.core, event)?))).collect();
        let could_be_opened = opened.len() == waiting.len();
        let (ids, events): (Vec<i64>, Vec<Event>) = self.due(opened, now).into_iter().unzip();
        let outcomes = self.publisher.publish(&events).await;
        let published = outcomes.len();
        self.settle(ids.into_iter().zip(&events).zip(outcomes), now).await?;
        Ok(match published {
            published if published < events.len() || !could_be_opened => Outcome::Failed,
            BATCH => Outcome::More,
            _ => Outcome::Done,
        })
    }

    /// Without those that a queue refused a moment ago, and what came after a refused one for the same account.
    fn due(&self, opened: Vec<(&WaitingEvent, Event)>, now: Timestamp) -> Vec<(i64, Event)> {
        let mut held = HashSet::new();
        let mut due = Vec::with_capacity(opened.len());
        for (waiting, event) in opened {
            let user = event.kind.user();
            if user.is_some_and(|user| held.contains(&user)) {
                continue;
            }
            let refusal = self.refused.get(&waiting.id);
            if refusal.is_some() {
                held.extend(user);
            }
            if refusal.is_none_or(|refusal| now >= refusal.due_at) {
                due.push((waiting.id, event));
            }
        }
        due
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<WaitingEvent>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.core.store.read().await?.waiting_events(SINK, &[], limit).await?)
    }

    /// Stores what was confirmed; one that no queue received is dropped or set aside, one that a queue refused waits.
    async fn settle<'a>(
        &mut self,
        outcomes: impl Iterator<Item = ((i64, &'a Event), PublishOutcome)>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut done = Vec::new();
        for ((id, event), outcome) in outcomes {
            metrics::published(SINK.as_str(), outcome.as_str());
            match outcome {
                PublishOutcome::Refused => {
                    self.refuse(id, event, now);
                    continue;
                }
                PublishOutcome::Unroutable => {
                    tracing::warn!(event.id = %event.id, kept = self.keep_unroutable, "no queue received an event");
                    if self.keep_unroutable {
                        self.core.store.write().await?.set_aside_event(id, SINK, now).await?;
                        continue;
                    }
                }
                PublishOutcome::Confirmed => {}
            }
            self.refused.remove(&id);
            done.push(id);
        }
        if done.is_empty() {
            return Ok(());
        }
        if !self.beside_webhook {
            return Ok(self.core.store.write().await?.delete_events(&done).await?);
        }
        let mut tx = self.core.store.begin().await?;
        tx.mark_events(&done, SINK, now).await?;
        Ok(tx.commit().await?)
    }

    /// Its next try backs off up to a minute: the other queues get it again each time.
    fn refuse(&mut self, id: i64, event: &Event, now: Timestamp) {
        let refusal = self.refused.entry(id).or_insert(Refusal { failures: 0, due_at: now });
        if refusal.failures == 0 {
            tracing::warn!(event.id = %event.id, "a queue refused an event, which is published again until it is taken");
        }
        refusal.failures += 1;
        refusal.due_at = now.plus(Duration::from_secs(1 << refusal.failures.min(6)).min(Duration::from_mins(1)));
    }
}

/// Takes or renews this node's right to publish to a sink.
pub(super) async fn take_lease(core: &Core, name: &str, node: Uuid) -> Result<bool, Error> {
    let now = core.now();
    Ok(core.store.write().await?.take_lease(name, node, now, now.plus(LEASE)).await?)
}

/// `None`, and a line in the log, stops those after it: their order is promised.
pub(super) fn open_event(core: &Core, event: &WaitingEvent) -> Option<Event> {
    let opened = core.keyring.open(EVENT_SEAL, &event.body);
    let event_or_none = opened.and_then(|json| serde_json::from_slice(&json).ok());
    if event_or_none.is_none() {
        tracing::error!(event.id, "an event cannot be opened: its key is gone, or a newer version wrote it");
    }
    event_or_none
}
