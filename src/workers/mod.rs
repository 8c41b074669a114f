//! Background work: delivering messages, relaying events, pruning, and checking dependencies.

mod count_sync;
mod deferred_writer;
mod delivery;
mod event_relay;
mod health;
mod node_lock;
mod pruner;
mod verification_watcher;
mod webhook_relay;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::Random;

pub use count_sync::CountSync;
pub use deferred_writer::DeferredWriter;
pub use delivery::{DB_PERMITS, DeliveryWorker};
pub use event_relay::EventRelay;
pub use health::HealthMonitor;
pub use node_lock::NodeLockMonitor;
pub use pruner::Pruner;
pub use verification_watcher::VerificationWatcher;
pub use webhook_relay::WebhookRelay;

/// The rounds of periodic work: one at once, then one after each interval.
struct Rounds {
    interval: Duration,
    stop: CancellationToken,
    is_first: bool,
}

fn every(interval: Duration, stop: CancellationToken) -> Rounds {
    Rounds { interval, stop, is_first: true }
}

impl Rounds {
    /// Waits for the next round; `false` once the work is to stop.
    async fn next(&mut self) -> bool {
        if !std::mem::take(&mut self.is_first) {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = self.stop.cancelled() => {}
            }
        }
        !self.stop.is_cancelled()
    }
}

/// Exponential back-off with full jitter, up to 8 s: codes live for minutes.
fn back_off(random: &dyn Random, failures: u32) -> Duration {
    let longest = Duration::from_millis(500) * 2_u32.pow(failures.min(4));
    Duration::from_millis(random.below(longest.as_millis().try_into().unwrap_or(u64::MAX)))
}

/// An error with all its causes, in a line.
fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}
