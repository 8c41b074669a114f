//! Looking after those who wait for a verification.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{chain, every};
use crate::engine::VerificationWatch;

/// Looks once a second.
pub struct VerificationWatcher(pub VerificationWatch);

const INTERVAL: Duration = Duration::from_secs(1);

impl VerificationWatcher {
    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = every(INTERVAL, stop);
        while rounds.next().await {
            if let Err(error) = self.0.look().await {
                tracing::debug!(error = %chain(error), "verifications that are waited for were not read");
            }
        }
    }
}
