//! What runs beside the requests: delivering messages, pruning, and looking at the parts.

mod delivery;
mod health;
mod pruning;

pub use delivery::Delivery;
pub use health::{Health, HealthLoop};
pub use pruning::Pruning;
