//! Relaying events from the database to the webhook.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    back_off, chain,
    event_relay::{INTERVAL, LINGER, Outcome, open_event, take_lease},
};
use crate::{
    domain::{DAY, Event, EventSink, Timestamp},
    engine::Core,
    error::Error,
    events::{EventWebhook, PostFailure},
    metrics,
    store::WaitingEvent,
};

/// Posts events at least once, those of one account in order; one node at a time does it. A failing account's events
/// wait, and others go on.
pub struct WebhookRelay {
    pub(crate) core: Core,
    pub(crate) webhook: EventWebhook,
    /// Identifies this node to the others.
    pub(crate) node: Uuid,
    /// Notified at every commit that wrote an event on this node.
    pub(crate) wake: Arc<Notify>,
    /// The keys whose events wait after a failure. Lost with the node, they are only tried sooner.
    pub(crate) held: HashMap<Uuid, Hold>,
}

/// Events of a key that wait because the first of them failed.
pub(crate) struct Hold {
    event: i64,
    failures: u32,
    due_at: Timestamp,
}

const SINK: EventSink = EventSink::Webhook;
/// So many are posted at once, each of another account.
const AT_ONCE: usize = 16;
const BATCH: i64 = 500;
/// Well before the lease ends.
const RENEW: Duration = Duration::from_secs(3);
/// After so long an event is set aside.
const PATIENCE: Duration = DAY.saturating_mul(3);
const LONGEST_HOLD: Duration = Duration::from_mins(10);
/// The database looks through so many keys in a fifth of a second; those beyond them are tried sooner.
const MOST_HELD: usize = 10_000;

/// The posts of one lease.
#[derive(Default)]
struct Round {
    /// The events of each key, the next one first, or being posted.
    queues: HashMap<Uuid, VecDeque<WaitingEvent>>,
    /// The keys of which none is being posted.
    ready: VecDeque<Uuid>,
    posting: JoinSet<Posted>,
    failures_in_a_row: usize,
    /// Nothing more begins.
    is_ending: bool,
    has_failed: bool,
}

/// How posting the first event of a key went.
struct Posted {
    key: Uuid,
    result: Result<(), Failure>,
}

enum Failure {
    Sealed,
    Post(PostFailure),
}

impl WebhookRelay {
    /// Runs until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let outcome = self.post_waiting(&stop).await.unwrap_or_else(|error| {
                tracing::warn!(error = %chain(error), "events for the webhook wait");
                Outcome::Failed
            });
            failures = if outcome == Outcome::Failed { failures + 1 } else { 0 };
            let pause = if outcome == Outcome::Failed { back_off(&*self.core.random, failures) } else { INTERVAL };
            tokio::select! {
                () = self.wake.notified(), if outcome == Outcome::Done => tokio::time::sleep(LINGER).await,
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Posts what waits until nothing does, if this node has the lease.
    async fn post_waiting(&mut self, stop: &CancellationToken) -> Result<Outcome, Error> {
        let now = self.core.now();
        self.held.retain(|_, hold| hold.due_at.plus(LONGEST_HOLD) > now);
        let mut round = Round::default();
        if self.waiting(&round, 1).await?.is_empty() || !self.take_lease().await? {
            return Ok(Outcome::Done);
        }
        let mut renewed = Instant::now();
        loop {
            // Read under the lease: the node that had it may have posted some.
            self.begin_posts(&mut round).await?;
            if round.posting.is_empty() {
                return Ok(if round.has_failed { Outcome::Failed } else { Outcome::Done });
            }
            let mut posted = Vec::new();
            tokio::select! {
                Some(done) = round.posting.join_next() => posted.push(done),
                () = tokio::time::sleep_until(renewed + RENEW) => {}
                () = stop.cancelled(), if !round.is_ending => round.is_ending = true,
            }
            while let Some(done) = round.posting.try_join_next() {
                posted.push(done);
            }
            self.settle(&mut round, posted).await?;
            if renewed.elapsed() >= RENEW {
                if !self.take_lease().await? {
                    return Ok(Outcome::Done);
                }
                renewed = Instant::now();
            }
        }
    }

    /// The events whose turn it may be: not of a key that is under way or held.
    async fn waiting(&self, round: &Round, limit: i64) -> Result<Vec<WaitingEvent>, Error> {
        let now = self.core.now();
        let held = self.held.iter().filter(|(_, hold)| hold.due_at > now).map(|(key, _)| *key).take(MOST_HELD);
        let without: Vec<Uuid> = round.queues.keys().copied().chain(held).collect();
        Ok(self.core.store.read().await?.waiting_events(SINK, &without, limit).await?)
    }

    async fn take_lease(&self) -> Result<bool, Error> {
        take_lease(&self.core, "events.webhook", self.node).await
    }

    /// Begins to post the next event of as many keys as may be.
    async fn begin_posts(&self, round: &mut Round) -> Result<(), Error> {
        if round.is_ending {
            return Ok(());
        }
        if round.ready.is_empty() && round.posting.len() < AT_ONCE {
            for event in self.waiting(round, BATCH).await? {
                let (key, ready) = (event.order_key, &mut round.ready);
                let queue = round.queues.entry(key).or_insert_with(|| {
                    ready.push_back(key);
                    VecDeque::new()
                });
                queue.push_back(event);
            }
        }
        while round.posting.len() < AT_ONCE
            && let Some(key) = round.ready.pop_front()
            && let Some(next) = round.queues.get(&key).and_then(VecDeque::front)
        {
            let (webhook, event) = (self.webhook.clone(), open_event(&self.core, next));
            round.posting.spawn(async move { Posted { key, result: post(&webhook, event).await } });
        }
        Ok(())
    }

    /// Stores what was confirmed, and lets the events behind a failed one wait.
    async fn settle(&mut self, round: &mut Round, posted: Vec<Result<Posted, JoinError>>) -> Result<(), Error> {
        let mut done = Vec::new();
        for posted in posted {
            let Posted { key, result } = posted.map_err(|error| Error::Internal(error.into()))?;
            let Some(event) = round.queues.get_mut(&key).and_then(VecDeque::pop_front) else { continue };
            match result {
                Ok(()) => {
                    metrics::published(SINK.as_str(), "confirmed");
                    round.failures_in_a_row = 0;
                    self.held.remove(&key);
                    done.push(event.id);
                    if round.queues[&key].is_empty() {
                        round.queues.remove(&key);
                    } else {
                        round.ready.push_back(key);
                    }
                }
                Err(failure) => {
                    round.queues.remove(&key);
                    round.failed(&failure);
                    self.hold_or_set_aside(&event, &failure).await?;
                }
            }
        }
        if !done.is_empty() {
            let mut tx = self.core.store.begin().await?;
            tx.mark_events(&done, SINK, self.core.now()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn hold_or_set_aside(&mut self, event: &WaitingEvent, failure: &Failure) -> Result<(), Error> {
        let now = self.core.now();
        let cause = match failure {
            Failure::Sealed => "it cannot be opened".to_owned(),
            Failure::Post(PostFailure::Refused(status)) => format!("the receiver answered {status}"),
            Failure::Post(PostFailure::Unreachable(cause)) => (*cause).to_owned(),
        };
        if now >= event.since.plus(PATIENCE) {
            metrics::published(SINK.as_str(), "set_aside");
            tracing::error!(
                event.number = event.id,
                cause,
                "an event is set aside: the webhook did not take it for three days"
            );
            self.held.remove(&event.order_key);
            return Ok(self.core.store.write().await?.set_aside_event(event.id, SINK, now).await?);
        }
        metrics::published(
            SINK.as_str(),
            if matches!(failure, Failure::Post(PostFailure::Unreachable(_))) { "unreachable" } else { "refused" },
        );
        let hold = self.held.entry(event.order_key).or_insert(Hold { event: event.id, failures: 0, due_at: now });
        if hold.event != event.id {
            *hold = Hold { event: event.id, failures: 0, due_at: now };
        }
        if hold.failures == 0 {
            tracing::warn!(event.number = event.id, cause, "the webhook did not take an event, which is posted again");
        }
        hold.failures += 1;
        hold.due_at = now.plus(Duration::from_secs(1 << hold.failures.min(10)).min(LONGEST_HOLD));
        Ok(())
    }
}

impl Round {
    /// A receiver that can't be reached, or takes nothing at all, is not asked for everybody's events in turn.
    fn failed(&mut self, failure: &Failure) {
        self.failures_in_a_row += 1;
        let is_down = matches!(failure, Failure::Post(PostFailure::Unreachable(_)));
        if is_down || self.failures_in_a_row >= AT_ONCE {
            (self.is_ending, self.has_failed) = (true, true);
        }
    }
}

/// Of an event that could not be opened there is nothing to post.
async fn post(webhook: &EventWebhook, event: Option<Event>) -> Result<(), Failure> {
    let event = event.ok_or(Failure::Sealed)?;
    webhook.post(&event).await.map_err(Failure::Post)
}
