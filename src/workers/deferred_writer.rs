//! Writing what was put off until after its response.

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chain;
use crate::{
    engine::{DeferredReceivers, EventLog},
    store::StoreError,
};

/// Writes failed logins, refusals and networks after the response; drops them on error, as is documented.
pub struct DeferredWriter {
    pub(crate) event_log: EventLog,
    pub(crate) deferred: DeferredReceivers,
}

const BATCH: usize = 100;
/// Each is a part of one statement, whose text is kept for each number of them.
const NETWORKS: usize = 8;

impl DeferredWriter {
    /// Runs until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let (mut failed, mut refused, mut networks) = (Vec::new(), Vec::new(), Vec::new());
            tokio::select! {
                received = self.deferred.failed_logins.recv_many(&mut failed, BATCH) => if received == 0 { return },
                received = self.deferred.refusals.recv_many(&mut refused, BATCH) => if received == 0 { return },
                received = self.deferred.networks.recv_many(&mut networks, NETWORKS) => if received == 0 { return },
                () = stop.cancelled() => return,
            }
            let dropped = failed.len() + refused.len() + networks.len();
            let written = if !failed.is_empty() {
                self.event_log.append_failed_logins(&failed).await
            } else if !refused.is_empty() {
                self.event_log.core.store.count_refusals(refused).await
            } else {
                self.remember(networks).await
            };
            if let Err(error) = written {
                tracing::warn!(error = %chain(error), dropped, "failed logins, refusals or networks are not recorded");
            }
        }
    }

    async fn remember(&self, mut networks: Vec<(Uuid, Vec<u8>)>) -> Result<(), StoreError> {
        let core = &self.event_log.core;
        networks.sort_unstable(); // the order of locks
        networks.dedup();
        while !networks.is_empty() {
            let mut tx = core.store.begin().await?;
            let mut last = None;
            for (user, network) in networks.extract_if(.., |(user, _)| last.replace(*user) != Some(*user)) {
                tx.see_network(user, &network, core.now())?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}
