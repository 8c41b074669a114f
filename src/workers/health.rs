//! Checking the dependencies.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::every;
use crate::{engine::Readiness, metrics};

/// Checks every dependency twice a second, and the clock once a minute.
pub struct HealthMonitor(pub Readiness);

const INTERVAL: Duration = Duration::from_millis(500);
const CLOCK_ROUNDS: u32 = 120;

impl HealthMonitor {
    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut round = 0_u32;
        let mut rounds = every(INTERVAL, stop);
        while rounds.next().await {
            if round.is_multiple_of(CLOCK_ROUNDS) {
                self.0.check_clock().await;
            }
            round = round.wrapping_add(1);
            self.0.check_dependencies().await;
            metrics::upkeep();
        }
    }
}
