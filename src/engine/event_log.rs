//! The event log: events are stored in the transaction that makes them true.

use std::sync::Arc;

use tokio::sync::Notify;
use uuid::Uuid;

use super::{Core, DeferredLines};
use crate::{
    domain::{AuditLine, Event, EventKind, EventUser, LoginMethod, Origin, Timestamp},
    store::{SealedEvent, StoreError, Tx},
    telemetry,
};

/// Stores events in the transaction that makes them true.
#[derive(Clone)]
pub struct EventLog {
    pub(crate) core: Core,
    /// Wakes the relays, one for each sink.
    pub(crate) wake: Vec<Arc<Notify>>,
    /// Whether the events of an account describe it.
    pub(crate) personal_data: bool,
    /// The way of what is written after the response.
    pub(crate) deferred: DeferredLines,
}

/// The owner of a sealed event.
pub(crate) const EVENT_SEAL: &str = "event";

impl EventLog {
    /// Stores events; the caller commits by [`commit`](Self::commit).
    pub(crate) async fn append(
        &self,
        tx: &mut Tx,
        kinds: impl IntoIterator<Item = EventKind>,
        origin: Origin<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut events: Vec<Event> = kinds.into_iter().map(|kind| self.event(kind, now)).collect();
        if self.personal_data {
            describe(tx, &mut events).await?;
        }
        self.append_events(tx, &events)?;
        tx.append_audit(&AuditLine::of_events(&events, origin, now))
    }

    /// Takes the description of a deleted account out of the events that wait.
    pub(crate) async fn forget_user(&self, tx: &mut Tx, user: Uuid) -> Result<(), StoreError> {
        for (id, body) in tx.events_with_user(user).await? {
            let json = self.core.keyring.open(EVENT_SEAL, &body);
            let Some(event) = json.and_then(|json| serde_json::from_slice::<Event>(&json).ok()) else { continue };
            tx.replace_without_user(id, &self.seal(&Event { user: None, ..event }).body).await?;
        }
        Ok(())
    }

    /// Stores failed logins; of an account that is gone by now no line names anybody.
    pub(crate) async fn append_failed_logins(&self, failed: &[(Event, AuditLine)]) -> Result<(), StoreError> {
        let mut tx = self.core.store.begin().await?;
        let mut lines = Vec::new();
        for (_, line) in failed {
            lines.push(tx.unless_gone(line.clone()).await?);
        }
        let events: Vec<Event> = failed.iter().map(|(event, _)| event.clone()).collect();
        self.append_events(&mut tx, &events)?;
        tx.append_audit(&lines)?;
        self.commit(tx).await
    }

    fn append_events(&self, tx: &mut Tx, events: &[Event]) -> Result<(), StoreError> {
        let sealed: Vec<SealedEvent> = events.iter().map(|event| self.seal(event)).collect();
        tx.append_events(&sealed, self.core.now())
    }

    /// Commits the transaction and wakes the relays.
    pub(crate) async fn commit(&self, tx: Tx) -> Result<(), StoreError> {
        tx.commit().await?;
        self.wake.iter().for_each(|relay| relay.notify_one());
        Ok(())
    }

    /// Records a failed login, alike for known and unknown accounts and never in the way of the answer.
    pub(crate) fn login_failed(&self, user_id: Option<Uuid>, method: LoginMethod, origin: Origin<'_>) {
        let client = origin.client.map(|client| client.shown.clone()).unwrap_or_default();
        let now = self.core.now();
        let event = self.event(EventKind::LoginFailed { user_id, method, client }, now);
        if let Some(line) = AuditLine::of_event(&event.kind, origin, now) {
            self.deferred.failed_login(event, line);
        }
    }

    fn event(&self, kind: EventKind, now: Timestamp) -> Event {
        Event { id: self.core.random.id(now), at: now, traceparent: telemetry::traceparent(), user: None, kind }
    }

    fn seal(&self, event: &Event) -> SealedEvent {
        let json = serde_json::to_vec(event).expect("ids, words and times always are JSON");
        let body = self.core.keyring.seal(EVENT_SEAL, &json, &*self.core.random);
        SealedEvent { order_key: event.order_key(), body, has_user: event.user.is_some() }
    }
}

/// Adds the accounts as the transaction has them.
async fn describe(tx: &mut Tx, events: &mut [Event]) -> Result<(), StoreError> {
    let mut last: Option<Box<EventUser>> = None;
    for event in events {
        let Some(id) = event.kind.described_user() else { continue };
        if last.as_ref().is_none_or(|user| user.id != id) {
            last = tx.user(id).await?.map(|user| Box::new(user.into()));
        }
        event.user.clone_from(&last);
    }
    Ok(())
}
