//! Bringing the counts of all nodes together.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{chain, every};
use crate::{
    domain::{
        DAY_MS, Origin, Timestamp,
        guard::{HoldState, KEPT_COUNTS, slot_of},
    },
    engine::{Core, EventLog, ServiceCounts, Unsaved},
    error::Error,
    metrics,
    store::StoreError,
};

/// Adds what the node counted to the database once a second, and takes over what the other nodes added: beside the
/// requests, which never wait for it. A crash loses a second, to letting pass.
pub struct CountSync {
    pub(crate) core: Core,
    pub(crate) counts: ServiceCounts,
    pub(crate) event_log: EventLog,
}

const INTERVAL: Duration = Duration::from_secs(1);
/// Changes are read so far back again: clocks differ, and a commit may be late.
const OVERLAP: Duration = Duration::from_secs(10);

impl CountSync {
    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = every(INTERVAL, stop);
        let mut read_until = None;
        while rounds.next().await {
            match self.round(read_until).await {
                Ok(until) => read_until = Some(until),
                Err(error) => tracing::warn!(error = %chain(error), "counts wait to be shared"),
            }
        }
        let now = self.core.now();
        if let Err(error) = self.save(&mut self.counts.take_unsaved(now), now).await {
            tracing::warn!(error = %chain(error), "the counts of the last second are lost");
        }
    }

    /// One exchange; returns when it was.
    async fn round(&self, read_until: Option<Timestamp>) -> Result<Timestamp, Error> {
        let now = self.core.now();
        let mut unsaved = self.counts.take_unsaved(now);
        if let Err(error) = self.save(&mut unsaved, now).await {
            self.counts.give_back(unsaved);
            return Err(error.into());
        }
        let mut reader = self.core.store.read().await?;
        // A clock may have been put back: then what was read after now is read again.
        let since = read_until.map(|until| until.min(now).minus(OVERLAP));
        let counts = if let Some(since) = since {
            reader.changed_prefix_counts(since).await?
        } else {
            let most = i64::try_from(KEPT_COUNTS).unwrap_or(i64::MAX);
            reader.prefix_counts(slot_of(now.millis() - DAY_MS), most).await?
        };
        let states = reader.changed_prefix_states(since.unwrap_or_default()).await?;
        drop(reader);
        self.counts.absorb(&counts, &states);
        metrics::prefixes_held(self.counts.held());
        self.tell(now).await?;
        Ok(now)
    }

    /// Writes what is unsaved; what was written is taken out.
    async fn save(&self, unsaved: &mut Unsaved, now: Timestamp) -> Result<(), StoreError> {
        if !unsaved.counts.is_empty() {
            self.core.store.write().await?.add_prefix_counts(&unsaved.counts, now).await?;
            unsaved.counts.clear();
        }
        while let Some((prefix, state)) = unsaved.states.last() {
            self.core.store.write().await?.set_prefix_state(prefix, *state, now).await?;
            log(prefix, state);
            unsaved.states.pop();
        }
        Ok(())
    }

    async fn tell(&self, now: Timestamp) -> Result<(), StoreError> {
        let news = self.counts.take_news();
        if news.is_empty() {
            return Ok(());
        }
        let mut tx = self.core.store.begin().await?;
        self.event_log.append(&mut tx, news, Origin::default(), now).await?;
        self.event_log.commit(tx).await
    }
}

fn log(prefix: &str, state: &HoldState) {
    if !prefix.starts_with(|first: char| first.is_ascii_digit()) {
        return; // a purpose, which has told already
    }
    match (state.held_since, state.lifted_at) {
        (Some(_), _) => tracing::warn!(prefix, "messages to these numbers need a challenge: too few are verified"),
        (None, Some(_)) => tracing::info!(prefix, "these numbers are lifted"),
        (None, None) => tracing::info!(prefix, "these numbers are free again"),
    }
}
