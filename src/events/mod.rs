//! Publishing events to other programs, and consuming them. A publisher is one file with one trait.

mod cloud_event;
mod consumer;
mod log;
mod rabbitmq;
mod webhook;

use async_trait::async_trait;

use crate::domain::Event;

pub use consumer::{Consumer, ConsumerSettings, HandlerResult};
pub use log::LogPublisher;
pub use rabbitmq::{RabbitPublisher, RabbitUrl};
pub use webhook::{EventTypes, EventWebhook, EventWebhookSettings, PostFailure};

/// Publishes events in their order.
#[async_trait]
pub trait EventPublisher: Send + Sync {
    /// Publishes from the first on, and returns the outcomes of those that are done. Fewer than all means that one
    /// failed: it and those after it are to be published again.
    async fn publish(&self, events: &[Event]) -> Vec<PublishOutcome>;
}

/// The outcome of publishing an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It is never lost from here on.
    Confirmed,
    /// No queue is bound to its type.
    Unroutable,
    /// A queue that it was meant for did not take it: it alone is to be published again.
    Refused,
}

impl PublishOutcome {
    /// Its name in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unroutable => "unroutable",
            Self::Refused => "refused",
        }
    }
}
