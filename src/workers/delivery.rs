use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinSet,
};

use super::chain;
use crate::{
    codes::{CodeStore, LiveCode},
    crypto::{Keyring, hex, sha256},
    domain::{Channel, Clock, DeliveryState, Outgoing, Random, Timestamp},
    engine::live_code,
    error::Error,
    notify::{Envelope, Notifiers, SendError, Templates, segments},
    store::{Carried, ClaimedMessage, Store},
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
    /// Messages look at the database in turn: requests come first.
    pub desk: Arc<Semaphore>,
}

/// A worker that died loses its messages to the others after so long, and whatever all providers take.
const LEASE: Duration = Duration::from_secs(12);
/// Other nodes' messages are looked for this often.
const POLL: Duration = Duration::from_secs(1);
/// Messages under way at once.
const IN_FLIGHT: usize = 256;
/// Claimed by one statement.
const BATCH: usize = 32;
/// Of a message's work, what may be at the database at once.
pub const DESK: usize = 3;

/// What became of a claimed message.
enum Outcome {
    /// By which provider, where one took it.
    Ended(DeliveryState, Option<Carried>),
    /// To be tried again: a part or the providers failed. Not before so long, if they said so.
    Later(Option<Duration>),
}

impl Delivery {
    /// Delivers until told to stop; what is under way then is finished by whoever takes it over.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut under_way = JoinSet::new();
        while !*stop.borrow() {
            while under_way.try_join_next().is_some() {}
            if IN_FLIGHT - under_way.len() < BATCH {
                tokio::select! {
                    _ = under_way.join_next() => {}
                    _ = stop.changed() => {}
                }
                continue;
            }
            let claimed = self.claim().await;
            let took = claimed.len();
            for (message, lease_end) in claimed {
                let worker = self.clone();
                under_way.spawn(async move { worker.deliver(message, lease_end).await });
            }
            // A full batch hints at more; what came while it was claimed has rung the bell.
            if took < BATCH {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                    _ = stop.changed() => {}
                }
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    async fn claim(&self) -> Vec<(ClaimedMessage, Timestamp)> {
        let now = self.clock.now();
        let lease_end = now.plus(LEASE + self.notifiers.longest());
        let claimed = self.store.claim_messages(now, lease_end, BATCH).await.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(error), "the outbox can't be read");
            Vec::new()
        });
        claimed.into_iter().map(|message| (message, lease_end)).collect()
    }

    async fn deliver(&self, message: ClaimedMessage, lease_end: Timestamp) {
        let ended = match self.attempt(&message, lease_end).await {
            Ok(Outcome::Ended(state, by)) => self.end(&message, state, by.as_ref()).await,
            Ok(Outcome::Later(after)) => self.postpone(&message, after).await,
            Err(error) => {
                tracing::warn!(message.id, error = %chain(error), "a message waits for a part that is down");
                self.postpone(&message, None).await
            }
        };
        if let Err(error) = ended {
            let error = chain(error);
            tracing::warn!(message.id, error, "a message's end was not written; it comes again when its lease ends");
        }
    }

    async fn attempt(&self, message: &ClaimedMessage, lease_end: Timestamp) -> Result<Outcome, Error> {
        let now = self.clock.now();
        let opened = self.keyring.open(&message.body);
        let Some(outgoing) = opened.and_then(|json| serde_json::from_slice::<Outgoing>(&json).ok()) else {
            tracing::error!(message.id, "a message's seal can't be opened: its key is gone");
            return Ok(Outcome::Ended(DeliveryState::Failed, None));
        };
        if message.void {
            // Nobody's code lives like any other's, so that guesses at it are answered alike.
            if let Outgoing::Code(code) = &outgoing {
                let mac = hex(&self.random.bytes::<32>());
                self.codes.put(&LiveCode { mac, ..live_code(code, &self.keyring) }, now).await?;
            }
            return Ok(Outcome::Ended(DeliveryState::Sent, None));
        }
        if now >= message.deadline || !self.is_newest(message).await? {
            return Ok(Outcome::Ended(DeliveryState::Expired, None));
        }
        // Right before the sending, so that a code which died meanwhile is never sent.
        if let Outgoing::Code(code) = &outgoing
            && !self.codes.put(&live_code(code, &self.keyring), now).await?
        {
            return Ok(Outcome::Ended(DeliveryState::Expired, None));
        }
        if self.clock.now().plus(self.notifiers.longest()) >= lease_end {
            return Ok(Outcome::Later(None)); // it took too long to come here: another may have it by now
        }
        let id = hex(&sha256(&message.body)[..16]); // its seal is never made twice
        let envelope = Envelope { id, number: message.id, expires_at: message.deadline };
        let rendered = match self.templates.render(&outgoing, envelope) {
            Ok(rendered) => rendered,
            Err(error) => {
                tracing::error!(message.id, error, "a message can't be put into words");
                return Ok(Outcome::Ended(DeliveryState::Failed, None));
            }
        };
        Ok(match self.notifiers.send(&rendered).await {
            Ok(provider) => {
                let segments = (rendered.channel == Channel::Sms).then(|| segments(&rendered.body));
                tracing::info!(message.id, provider, purpose = rendered.purpose, segments, "sent");
                let segments = segments.and_then(|segments| i32::try_from(segments).ok());
                Outcome::Ended(DeliveryState::Sent, Some(Carried { provider, segments }))
            }
            Err(SendError::Final(why)) => {
                tracing::warn!(message.id, why, "a message can't be delivered");
                Outcome::Ended(DeliveryState::Failed, None)
            }
            Err(SendError::Later { cause, after }) => {
                tracing::warn!(message.id, cause, "a message waits for its providers");
                Outcome::Later(after)
            }
        })
    }

    /// The message carries its verification's last code, and that is still to be proven.
    async fn is_newest(&self, message: &ClaimedMessage) -> Result<bool, Error> {
        let Some((id, issue)) = message.verification_id.zip(message.issue) else { return Ok(true) };
        let _turn = self.desk.acquire().await;
        let now = self.clock.now();
        let challenge = self.store.read().await?.challenge(id, now).await?;
        Ok(challenge.is_some_and(|it| it.verification.issue == issue && it.is_wanted(now)))
    }

    async fn end(&self, message: &ClaimedMessage, state: DeliveryState, by: Option<&Carried>) -> Result<(), Error> {
        let _turn = self.desk.acquire().await;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let told = matches!(state, DeliveryState::Sent | DeliveryState::Failed);
        if let Some((id, issue)) = message.verification_id.zip(message.issue).filter(|_| told) {
            tx.mark_delivery(id, issue, state, by, now).await?;
        }
        tx.end_message(message.id, state, now).await?;
        Ok(tx.commit().await?)
    }

    /// Backs off exponentially with full jitter, to 8 s at most: codes live for minutes. A provider's
    /// own word is kept, as long as the code lives.
    async fn postpone(&self, message: &ClaimedMessage, after: Option<Duration>) -> Result<(), Error> {
        let now = self.clock.now();
        let exponent = u32::try_from(message.attempts.clamp(0, 4)).unwrap_or(0);
        let most = Duration::from_millis(500) * 2_u32.pow(exponent);
        let jitter = Duration::from_millis(self.random.below(most.as_millis().try_into().unwrap_or(1).max(1)));
        let due_at = now.plus(jitter.max(after.unwrap_or_default())).min(message.deadline);
        let _turn = self.desk.acquire().await;
        Ok(self.store.postpone_message(message.id, due_at).await?)
    }
}
