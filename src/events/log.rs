use async_trait::async_trait;
use serde_json::Value;

use super::EventPublisher;
use crate::domain::Event;

/// Events as log lines: what listens is whoever reads the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogPublisher;

#[async_trait]
impl EventPublisher for LogPublisher {
    async fn publish(&self, events: &[Event]) -> usize {
        for event in events {
            let json = serde_json::to_value(event).unwrap_or_default();
            let kind = json["type"].as_str().unwrap_or_default();
            let (id, at, data): (_, _, &Value) = (event.id, event.at, &json["data"]);
            tracing::info!(target: "enroll::events", %id, %at, %kind, %data, "happened");
        }
        events.len()
    }
}
