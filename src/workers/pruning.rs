use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{domain::Clock, store::Store};

/// Removes what is past its keeping, once a minute.
pub struct Pruning {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

const EVERY: Duration = Duration::from_mins(1);
const KEPT: Duration = Duration::from_hours(24);

impl Pruning {
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let now = self.clock.now();
            match self.store.prune(now, now.minus(KEPT)).await {
                Ok(pruned) => tracing::debug!(pruned.rows, "pruned"),
                Err(error) => tracing::debug!(%error, "nothing was pruned"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }
}
