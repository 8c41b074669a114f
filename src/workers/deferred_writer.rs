//! Writing what was put off until after its response.

use tokio_util::sync::CancellationToken;

use super::chain;
use crate::engine::{DeferredReceivers, EventLog};

/// Writes failed logins and refusals after the response; drops them on error, as is documented.
pub struct DeferredWriter {
    pub(crate) event_log: EventLog,
    pub(crate) deferred: DeferredReceivers,
}

const BATCH: usize = 100;

impl DeferredWriter {
    /// Runs until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let (mut failed, mut refused) = (Vec::new(), Vec::new());
            tokio::select! {
                received = self.deferred.failed_logins.recv_many(&mut failed, BATCH) => if received == 0 { return },
                received = self.deferred.refusals.recv_many(&mut refused, BATCH) => if received == 0 { return },
                () = stop.cancelled() => return,
            }
            let dropped = failed.len() + refused.len();
            let written = if failed.is_empty() {
                self.event_log.core.store.count_refusals(refused).await
            } else {
                self.event_log.append_failed_logins(&failed).await
            };
            if let Err(error) = written {
                tracing::warn!(error = %chain(error), dropped, "failed logins or refusals are not recorded");
            }
        }
    }
}
