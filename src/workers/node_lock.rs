//! Watching over the lock of a single node.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{chain, every};
use crate::store::NodeLock;

/// Ends when another node has taken the database over: two nodes with codes in memory would disagree.
pub struct NodeLockMonitor(pub NodeLock);

const INTERVAL: Duration = Duration::from_secs(1);

impl NodeLockMonitor {
    /// Runs until told to stop, or until the lock is lost.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut rounds = every(INTERVAL, stop);
        while rounds.next().await {
            match self.0.acquire().await {
                Ok(true) => {}
                Ok(false) => return tracing::error!("another node runs on this database; without Redis only one may"),
                Err(error) => tracing::debug!(error = chain(error), "the node's lock cannot be checked"),
            }
        }
    }
}
