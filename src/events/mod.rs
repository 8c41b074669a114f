//! Telling other programs what happened. A publisher is one file with one trait.

mod log;

use async_trait::async_trait;

use crate::domain::Event;

pub use log::LogPublisher;

/// Carries events to whoever listens, in their order.
#[async_trait]
pub trait EventPublisher: Send + Sync {
    /// Publishes from the first on, and tells how many of them are confirmed: never lost from here on.
    /// Fewer than all means that one failed, and those after it are to be published again.
    async fn publish(&self, events: &[Event]) -> usize;
}
