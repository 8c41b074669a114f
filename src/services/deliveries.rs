use std::{sync::Arc, time::Duration};

use crate::{
    crypto::Keyring,
    domain::{Address, Clock, DAY, DeliveryState, Outgoing, Timestamp},
    error::Error,
    store::{Conversion, KeptMessage, Store},
};

/// What operators see and do of messages.
#[derive(Clone)]
pub struct Deliveries {
    pub store: Store,
    pub keyring: Keyring,
    pub clock: Arc<dyn Clock>,
}

/// A message of the last day.
#[derive(Debug, Clone)]
pub struct ListedMessage {
    pub kept: KeptMessage,
    /// Of one that waits: what it is, and for whom, masked.
    pub about: Option<(&'static str, String)>,
}

/// A message that a worker has is due when its lease ends, which is sooner than this.
const LONGEST_LEASE: Duration = Duration::from_mins(1);

impl Deliveries {
    /// Those that wait, or those that ended failed within the last day; the oldest first.
    pub async fn list(&self, state: DeliveryState) -> Result<Vec<ListedMessage>, Error> {
        let kept = self.store.kept_messages(state).await?;
        Ok(kept.into_iter().map(|kept| ListedMessage { about: self.about(&kept), kept }).collect())
    }

    /// Hastens what waits for long, and tells how many; an ended message can't be sent again.
    pub async fn retry(&self) -> Result<u64, Error> {
        let now = self.clock.now();
        Ok(self.store.hasten_messages(now, now.plus(LONGEST_LEASE)).await?)
    }

    /// Sent, and come back verified, over the last day.
    pub async fn stats(&self) -> Result<Vec<Conversion>, Error> {
        Ok(self.store.conversion(self.since()).await?)
    }

    /// Records a provider's report of a message, named by its number in the outbox. A report of an ended
    /// verification, or of a code that was replaced, changes nothing.
    pub async fn record_report(&self, message: i64, state: DeliveryState) -> Result<(), Error> {
        Ok(self.store.mark_reported(message, state, self.clock.now()).await?)
    }

    fn since(&self) -> Timestamp {
        self.clock.now().minus(DAY)
    }

    fn about(&self, kept: &KeptMessage) -> Option<(&'static str, String)> {
        let json = self.keyring.open(&kept.body)?;
        let (purpose, to) = match serde_json::from_slice(&json).ok()? {
            Outgoing::Code(code) => (code.purpose.as_str(), code.to),
            Outgoing::Notice(notice) => (notice.notice.as_str(), notice.to),
        };
        Some((purpose, Address::from_stored(to).masked()))
    }
}
