use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::sync::{Notify, watch};

use super::chain;
use crate::{
    codes::{CodeStore, LiveCode},
    crypto::Keyring,
    domain::{Clock, DeliveryState, Outgoing, Random},
    error::Error,
    notify::{Notifiers, Templates},
    store::{ClaimedMessage, Store},
};

/// Sends what the outbox holds: at least once, before its deadline, and no dead code ever.
#[derive(Clone)]
pub struct Delivery {
    pub store: Store,
    pub codes: Arc<dyn CodeStore>,
    pub keyring: Keyring,
    pub notifiers: Notifiers,
    pub templates: Templates,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Rung at every commit that wrote a message on this node.
    pub wake: Arc<Notify>,
}

/// A worker that died loses its messages to the others after so long; more than all time-outs of a try.
const LEASE: Duration = Duration::from_secs(15);
/// Other nodes' messages are looked for this often.
const POLL: Duration = Duration::from_secs(1);
const BATCH: usize = 32;
/// A try of a provider's.
const PATIENCE: Duration = Duration::from_secs(3);

/// What became of a claimed message.
enum Outcome {
    Ended(DeliveryState),
    /// To be tried again: a part or the provider failed.
    Later,
}

impl Delivery {
    /// Delivers until told to stop; what it has claimed is finished first.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let delivered = self.deliver_due().await.unwrap_or_else(|error| {
                tracing::warn!(error = %chain(error), "the outbox can't be read");
                0
            });
            // A full batch hints at more; what came while this one was sent has rung the bell.
            if delivered < BATCH {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                    _ = stop.changed() => {}
                }
            }
        }
    }

    /// Takes a batch of due messages and tries each once; tells how many it took.
    pub async fn deliver_due(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let claimed = self.store.claim_messages(now, now.plus(LEASE), BATCH).await?;
        let count = claimed.len();
        stream::iter(claimed).for_each_concurrent(None, |message| self.deliver(message)).await;
        Ok(count)
    }

    async fn deliver(&self, message: ClaimedMessage) {
        let ended = match self.attempt(&message).await {
            Ok(Outcome::Ended(state)) => self.end(&message, state).await,
            Ok(Outcome::Later) => self.postpone(&message).await,
            Err(error) => {
                tracing::warn!(message.id, error = %chain(error), "a message waits for a part that is down");
                self.postpone(&message).await
            }
        };
        if let Err(error) = ended {
            let error = chain(error);
            tracing::warn!(message.id, error, "a message's end was not written; it comes again when its lease ends");
        }
    }

    async fn attempt(&self, message: &ClaimedMessage) -> Result<Outcome, Error> {
        if message.void {
            return Ok(Outcome::Ended(DeliveryState::Sent));
        }
        let now = self.clock.now();
        let opened = self.keyring.open(&message.body);
        let Some(outgoing) = opened.and_then(|json| serde_json::from_slice::<Outgoing>(&json).ok()) else {
            tracing::error!(message.id, "a message's seal can't be opened: its key is gone");
            return Ok(Outcome::Ended(DeliveryState::Failed));
        };
        if now >= message.deadline || !self.is_newest(message).await? {
            return Ok(Outcome::Ended(DeliveryState::Expired));
        }
        // Right before the sending, so that a code which died meanwhile is never sent.
        if let Outgoing::Code(code) = &outgoing
            && !self.codes.put(&LiveCode::of(code, &self.keyring), now).await?
        {
            return Ok(Outcome::Ended(DeliveryState::Expired));
        }
        let rendered = self.templates.render(&outgoing);
        match tokio::time::timeout(PATIENCE, self.notifiers.send(&rendered)).await {
            Ok(Ok(())) => Ok(Outcome::Ended(DeliveryState::Sent)),
            Ok(Err(error)) => {
                tracing::warn!(message.id, error = %format!("{error:#}"), "a provider refused a message");
                Ok(Outcome::Later)
            }
            Err(_) => {
                tracing::warn!(message.id, "a provider did not answer");
                Ok(Outcome::Later)
            }
        }
    }

    /// The message carries its verification's last code, and that is still to be proven.
    async fn is_newest(&self, message: &ClaimedMessage) -> Result<bool, Error> {
        let Some((id, issue)) = message.verification_id.zip(message.issue) else { return Ok(true) };
        let now = self.clock.now();
        let challenge = self.store.read().await?.challenge(id, now).await?;
        Ok(challenge.is_some_and(|it| it.verification.issue == issue && it.is_wanted(now)))
    }

    async fn end(&self, message: &ClaimedMessage, state: DeliveryState) -> Result<(), Error> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let told = matches!(state, DeliveryState::Sent | DeliveryState::Failed);
        if let Some((id, issue)) = message.verification_id.zip(message.issue).filter(|_| told) {
            tx.mark_delivery(id, issue, state, now).await?;
        }
        tx.end_message(message.id, state, now).await?;
        Ok(tx.commit().await?)
    }

    /// Backs off exponentially with full jitter, to 8 s at most: codes live for minutes.
    async fn postpone(&self, message: &ClaimedMessage) -> Result<(), Error> {
        let now = self.clock.now();
        let exponent = u32::try_from(message.attempts.clamp(0, 4)).unwrap_or(0);
        let most = Duration::from_millis(500) * 2_u32.pow(exponent);
        let wait = Duration::from_millis(self.random.below(most.as_millis().try_into().unwrap_or(1).max(1)));
        Ok(self.store.postpone_message(message.id, now.plus(wait).min(message.deadline)).await?)
    }
}
