//! What runs beside the requests: delivering messages, publishing events, pruning, and looking at the parts.

mod delivery;
mod failures;
mod health;
mod pruning;
mod publishing;
mod single_node;

pub use delivery::{DESK, Delivery};
pub use failures::Failures;
pub use health::{Health, HealthLoop};
pub use pruning::Pruning;
pub use publishing::Publishing;
pub use single_node::SingleNodeWatch;

/// An error with all its causes, in a line.
fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}
