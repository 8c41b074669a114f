use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::chain;
use crate::{
    domain::{Clock, DAY},
    store::Store,
};

/// Removes what is past its keeping, once a minute.
pub struct Pruning {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

const EVERY: Duration = Duration::from_mins(1);

impl Pruning {
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let now = self.clock.now();
            match self.store.prune(now, now.minus(DAY)).await {
                Ok(pruned) => tracing::debug!(pruned, "pruned"),
                Err(error) => tracing::warn!(error = %chain(error), "what is over was not all pruned"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }
}
