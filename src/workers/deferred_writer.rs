//! Writing what was put off until after its response.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::chain;
use crate::engine::{Deferred, EventLog};

/// Writes failed logins and refusals after the response; drops them on error, as is documented.
pub struct DeferredWriter {
    pub(crate) event_log: EventLog,
    pub(crate) deferred: mpsc::Receiver<Deferred>,
}

const BATCH: usize = 100;

impl DeferredWriter {
    /// Runs until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let mut deferred = Vec::new();
            tokio::select! {
                received = self.deferred.recv_many(&mut deferred, BATCH) => {
                    if received == 0 {
                        return;
                    }
                }
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.event_log.append_deferred(&deferred).await {
                tracing::warn!(error = %chain(error), dropped = deferred.len(), "failed logins are not recorded");
            }
        }
    }
}
