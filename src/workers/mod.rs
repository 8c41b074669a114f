//! What runs beside the requests: delivering messages, pruning, and looking at the parts.

mod delivery;
mod health;
mod pruning;
mod single_node;

pub use delivery::Delivery;
pub use health::{Health, HealthLoop};
pub use pruning::Pruning;
pub use single_node::SingleNodeWatch;

/// An error with all its causes, in a line.
fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}
