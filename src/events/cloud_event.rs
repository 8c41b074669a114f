//! The form that other programs read.

use serde_json::{Value, json};

use crate::domain::Event;

/// The type of an event, and the event in CloudEvents 1.0, JSON format.
pub(super) fn cloud_event(event: &Event, source: &str) -> (String, Value) {
    let (kind, data) = event.kind.to_json();
    let mut envelope = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": kind,
        "time": event.at,
        "datacontenttype": "application/json",
        "data": data,
    });
    if let Some(user) = event.kind.user() {
        envelope["subject"] = json!(user);
    }
    if let Some(described) = &event.user {
        envelope["data"]["user"] = json!(described);
    }
    if let Some(parent) = &event.traceparent {
        envelope["traceparent"] = json!(parent); // its extension Distributed Tracing
    }
    (kind, envelope)
}
