//! Deleting what is past its keeping.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{chain, every};
use crate::engine::Core;

/// Deletes what is past its keeping, once a minute.
pub struct Pruner {
    pub(crate) core: Core,
    /// How long lines of the audit are kept.
    pub(crate) audit_keep: Duration,
}

const INTERVAL: Duration = Duration::from_mins(1);

impl Pruner {
    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = every(INTERVAL, stop);
        while rounds.next().await {
            let now = self.core.now();
            match self.core.store.prune(now, now.minus(self.audit_keep)).await {
                Ok(pruned) => tracing::debug!(pruned, "pruned"),
                Err(error) => tracing::warn!(error = %chain(error), "not everything was pruned"),
            }
        }
    }
}
