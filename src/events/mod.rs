//! Telling other programs what happened. A publisher is one file with one trait.

mod cloud_event;
mod consumer;
mod log;
mod rabbitmq;

use async_trait::async_trait;

use crate::domain::Event;

pub use consumer::{Consumer, ConsumerSettings, Handled};
pub use log::LogPublisher;
pub use rabbitmq::{RabbitAddress, RabbitPublisher};

/// Carries events to whoever listens, in their order.
#[async_trait]
pub trait EventPublisher: Send + Sync {
    /// Publishes from the first on, and tells what became of as many as are done. Fewer than all
    /// means that one failed: it and those after it are to be published again.
    async fn publish(&self, events: &[Event]) -> Vec<Published>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Never lost from here on.
    Confirmed,
    /// Nobody listens to its type.
    Unroutable,
}
