//! Gauges that are read when somebody asks: queues, pools and backlogs.

use std::time::Duration;

use super::Core;
use crate::{
    crypto::Hasher,
    domain::{EventSink, TestIdentities, Timestamp},
    metrics,
    store::StoreError,
};

/// Reads the gauges of a node.
#[derive(Clone)]
pub struct Gauges {
    pub(crate) core: Core,
    pub(crate) hasher: Hasher,
    /// Where events go.
    pub(crate) sinks: Vec<EventSink>,
    pub(crate) test_identities: TestIdentities,
}

impl Gauges {
    /// Reads them; while the database is down its backlogs keep their last values.
    pub async fn read(&self) {
        metrics::hashes_queued(self.hasher.queued());
        metrics::test_identities(self.test_identities.live(self.core.now()).count());
        let (in_use, most) = self.core.store.connections();
        metrics::connections(in_use, most);
        if let Err(error) = self.read_backlogs().await {
            tracing::debug!(%error, "the backlogs were not read");
        }
    }

    async fn read_backlogs(&self) -> Result<(), StoreError> {
        let mut reader = self.core.store.read().await?;
        let now = self.core.now();
        let age = |since: Option<Timestamp>| since.map_or(Duration::ZERO, |since| now.after(since));
        let count = |rows: i64| usize::try_from(rows).unwrap_or_default();
        let (messages, due) = reader.waiting_messages().await?;
        metrics::outbox(count(messages), age(due));
        for sink in &self.sinks {
            let (events, oldest) = reader.event_backlog(*sink).await?;
            metrics::events(sink.as_str(), count(events), age(oldest));
        }
        Ok(())
    }
}
