//! The delivery of messages, as operators and providers see it.

use std::time::Duration;

use crate::{
    domain::{AuditLine, DAY, DeliveryState, Event, EventSink, MessagePayload, Origin, message_owner},
    engine::{Core, EVENT_SEAL},
    error::Error,
    store::{Conversion, StoredEvent, StoredMessage},
};

/// Lists messages for operators, and records the reports of providers.
#[derive(Clone)]
pub struct DeliveryService {
    pub(crate) core: Core,
}

/// A message of the last day.
#[derive(Debug, Clone)]
pub struct MessageSummary {
    /// The row.
    pub stored: StoredMessage,
    /// The purpose, while the message waits.
    pub purpose: Option<&'static str>,
}

/// An event that some sink has not got.
#[derive(Debug, Clone)]
pub struct EventSummary {
    /// The row.
    pub stored: StoredEvent,
    /// The event; `None` where its key is gone.
    pub event: Option<Event>,
}

const MOST_EVENTS: i64 = 1_000;
/// A message that a worker has leased is due when its lease ends, which is sooner than this.
const LONGEST_LEASE: Duration = Duration::from_mins(1);

impl DeliveryService {
    /// The messages that wait, or that failed within the last day; the oldest first.
    pub async fn list(&self, state: DeliveryState) -> Result<Vec<MessageSummary>, Error> {
        let stored = self.core.store.read().await?.messages(state).await?;
        Ok(stored.into_iter().map(|stored| MessageSummary { purpose: self.purpose(&stored), stored }).collect())
    }

    /// Retries messages now that wait for long, and returns how many; an ended message cannot be sent again.
    pub async fn retry(&self) -> Result<u64, Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let retried = tx.make_due_now(now, now.plus(LONGEST_LEASE)).await?;
        tx.append_audit(&[AuditLine::command("deliveries_retry", None, Origin::default(), now)])?;
        tx.commit().await?;
        Ok(retried)
    }

    /// Waits, for a second at most, until no message waits: what was asked for before has been handed over by then.
    pub async fn settle(&self) -> Result<(), Error> {
        let settled = async {
            while self.core.store.read().await?.waiting_messages().await?.0 > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(1), settled).await.unwrap_or(Ok(()))
    }

    /// The conversion of the last day.
    pub async fn stats(&self) -> Result<Vec<Conversion>, Error> {
        Ok(self.core.store.read().await?.conversion(self.core.now().minus(DAY)).await?)
    }

    /// Records a provider's report of a message, named by its number in the outbox. A report of an ended
    /// verification, or of a code that was replaced, changes nothing.
    pub async fn record_report(&self, message: i64, state: DeliveryState) -> Result<(), Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        if tx.mark_report(message, state, now).await? {
            tx.append_report(message, state.as_str(), now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The oldest thousand events that some sink has not got.
    pub async fn list_events(&self) -> Result<Vec<EventSummary>, Error> {
        let stored = self.core.store.read().await?.stored_events(MOST_EVENTS).await?;
        let open = |stored: StoredEvent| {
            let json = self.core.keyring.open(EVENT_SEAL, &stored.body);
            EventSummary { event: json.and_then(|json| serde_json::from_slice(&json).ok()), stored }
        };
        Ok(stored.into_iter().map(open).collect())
    }

    /// Puts back the events that were set aside for these sinks, and returns how many.
    pub async fn requeue_events(&self, sinks: &[EventSink]) -> Result<u64, Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let mut retried = 0;
        for sink in sinks {
            retried += tx.requeue_events(*sink, now).await?;
        }
        tx.append_audit(&[AuditLine::command("events_retry", None, Origin::default(), now)])?;
        tx.commit().await?;
        Ok(retried)
    }

    fn purpose(&self, stored: &StoredMessage) -> Option<&'static str> {
        let payload =
            MessagePayload::from_json(&self.core.keyring.open(&message_owner(stored.verification()), &stored.body)?)?;
        Some(payload.purpose())
    }
}
