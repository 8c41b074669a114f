//! `enroll events …`.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::output::{print, print_line};
use crate::{
    app::admin_services,
    config::Settings,
    domain::{EventSink, Timestamp},
    services::EventSummary,
};

#[derive(Subcommand)]
pub(super) enum Events {
    /// List the events that RabbitMQ or the webhook has not got, the oldest thousand
    List {
        /// Of this sink alone
        #[arg(long, value_enum)]
        sink: Option<Sink>,
    },
    /// Retry events that were set aside
    ///
    /// Because no queue received them, or because the webhook did not take them for three days.
    Retry {
        /// Of this sink alone
        #[arg(long, value_enum)]
        sink: Option<Sink>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Sink {
    Rabbitmq,
    Webhook,
}

impl From<Sink> for EventSink {
    fn from(sink: Sink) -> Self {
        match sink {
            Sink::Rabbitmq => Self::Rabbitmq,
            Sink::Webhook => Self::Webhook,
        }
    }
}

pub(super) async fn run(command: Events, settings: &Settings, as_json: bool) -> anyhow::Result<()> {
    let sinks = |sink: Option<Sink>| sink.map_or_else(|| settings.events.sinks(), |sink| vec![sink.into()]);
    let admin = admin_services(settings).await?;
    match command {
        Events::List { sink } => {
            for event in admin.deliveries.list_events().await? {
                for row in sinks(sink).into_iter().filter_map(|sink| event_json(&event, sink)) {
                    print_line(&row, as_json);
                }
            }
        }
        Events::Retry { sink } => {
            print(&json!({"retried": admin.deliveries.requeue_events(&sinks(sink)).await?}), as_json);
        }
    }
    admin.store.close().await;
    Ok(())
}

/// An event, if the sink has not got it.
fn event_json(EventSummary { stored, event }: &EventSummary, sink: EventSink) -> Option<Value> {
    let (got_at, aside_at): (Option<Timestamp>, Option<Timestamp>) = match sink {
        EventSink::Rabbitmq => (stored.rabbitmq_at, stored.rabbitmq_aside_at),
        EventSink::Webhook => (stored.webhook_at, stored.webhook_aside_at),
    };
    got_at.is_none().then(|| {
        json!({
            "number": stored.id,
            "id": event.as_ref().map(|event| event.id),
            "type": event.as_ref().map(|event| event.kind.to_json().0),
            "user_id": event.as_ref().and_then(|event| event.kind.user()),
            "at": event.as_ref().map(|event| event.at),
            "sink": sink.as_str(),
            "state": if aside_at.is_some() { "set_aside" } else { "waiting" },
            "set_aside_at": aside_at,
        })
    })
}
