use tokio::sync::{mpsc, watch};

use super::chain;
use crate::{domain::Event, engine::Journal, error::Error, store::Store};

/// Writes down what was told after the answer; what can't be written is dropped, as is promised.
pub struct Failures {
    pub store: Store,
    pub journal: Journal,
    pub told: mpsc::Receiver<Event>,
}

const BATCH: usize = 100;

impl Failures {
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let mut events = Vec::new();
            tokio::select! {
                received = self.told.recv_many(&mut events, BATCH) => {
                    if received == 0 {
                        return;
                    }
                }
                _ = stop.changed() => return,
            }
            if let Err(error) = self.write(&events).await {
                tracing::warn!(error = %chain(error), dropped = events.len(), "failed logins are not written down");
            }
        }
    }

    async fn write(&self, events: &[Event]) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        self.journal.append(&mut tx, events).await?;
        Ok(self.journal.commit(tx).await?)
    }
}
