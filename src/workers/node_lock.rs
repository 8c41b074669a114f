use std::time::Duration;

use tokio::sync::watch;

use super::chain;
use crate::store::SingleNode;

/// Ends when another node has taken the database over: two with codes in memory would disagree.
pub struct SingleNodeWatch(pub SingleNode);

const EVERY: Duration = Duration::from_secs(1);

impl SingleNodeWatch {
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            match self.0.is_ours().await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::error!("another node runs on this database, and without Redis only one may");
                    return;
                }
                Err(error) => tracing::debug!(error = chain(error), "the single node's lock can't be looked at"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }
}
