//! What runs beside the requests: delivering messages, publishing events, pruning, and looking at the parts.

mod delivery;
mod event_relay;
mod failed_logins;
mod health;
mod node_lock;
mod pruner;

pub use delivery::{DESK, Delivery};
pub use event_relay::Publishing;
pub use failed_logins::Failures;
pub use health::HealthMonitor;
pub use node_lock::SingleNodeWatch;
pub use pruner::Pruning;

/// An error with all its causes, in a line.
fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}
