use std::time::Duration;

use tokio::sync::watch;

use crate::engine::Readiness;

/// Looks at every part, twice a second.
pub struct HealthMonitor(pub Readiness);

const EVERY: Duration = Duration::from_millis(500);
const CLOCK_EVERY: u32 = 120;

impl HealthMonitor {
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        for round in 0_u32.. {
            if *stop.borrow() {
                return;
            }
            if round % CLOCK_EVERY == 0 {
                self.0.compare_clocks().await;
            }
            self.0.look().await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }
}
