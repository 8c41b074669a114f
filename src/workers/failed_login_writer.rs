//! Recording failed logins.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::chain;
use crate::{domain::Event, engine::EventLog, error::Error};

/// Persists failed-login events after the response; drops them on error, as is documented.
pub struct FailedLoginWriter {
    pub(crate) event_log: EventLog,
    pub(crate) events: mpsc::Receiver<Event>,
}

const BATCH: usize = 100;

impl FailedLoginWriter {
    /// Runs until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let mut events = Vec::new();
            tokio::select! {
                received = self.events.recv_many(&mut events, BATCH) => {
                    if received == 0 {
                        return;
                    }
                }
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.write(&events).await {
                tracing::warn!(error = %chain(error), dropped = events.len(), "failed logins are not recorded");
            }
        }
    }

    async fn write(&self, events: &[Event]) -> Result<(), Error> {
        let mut tx = self.event_log.core.store.begin().await?;
        self.event_log.append_all(&mut tx, events).await?;
        Ok(self.event_log.commit(tx).await?)
    }
}
