//! Delivering messages from the outbox.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{back_off, chain};
use crate::{
    codes::{CodeStore, LiveCode},
    domain::{
        AuditKind, AuditLine, Channel, CodeMessage, DeliveryState, MessagePayload, Origin, TestIdentities, Timestamp,
        hex, message_owner, sha256,
    },
    engine::{Core, live_code},
    error::Error,
    metrics,
    notify::{Accepted, Message, MessageMeta, NotSent, Notifiers, SendError, Templates, segments},
    store::{DeliveredBy, LeasedMessage, StoreError, Tried},
    telemetry,
};

/// Sends the messages of the outbox: at least once, before their deadline, and never a dead code.
#[derive(Clone)]
pub struct DeliveryWorker {
    pub(crate) core: Core,
    pub(crate) codes: Arc<dyn CodeStore>,
    pub(crate) test_identities: TestIdentities,
    pub(crate) notifiers: Notifiers,
    pub(crate) templates: Templates,
    /// Notified at every commit that wrote a message on this node.
    pub(crate) wake: Arc<Notify>,
    /// Limits what messages do at the database at once: requests come first.
    pub(crate) db_permits: Arc<Semaphore>,
}

/// The lease of a worker that died ends then, plus the time that all providers take.
const LEASE: Duration = Duration::from_secs(12);
/// Other nodes' messages are looked for this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Messages in flight.
const IN_FLIGHT: usize = 256;
/// Messages leased by one statement.
const BATCH: usize = 32;
/// Database connections that messages use at once.
pub const DB_PERMITS: usize = 3;

/// The outcome for a leased message.
enum Outcome {
    Ended(Box<Ending>),
    /// It is retried, not before this time if the provider named one.
    Retry(Option<Duration>, Tried),
}

/// The end of a message.
struct Ending {
    state: DeliveryState,
    by: Option<DeliveredBy>,
    tried: Tried,
    /// For the audit.
    line: AuditLine,
}

impl DeliveryWorker {
    /// Runs until told to stop; messages that are in flight then are finished by another worker.
    pub async fn run(self, stop: CancellationToken) {
        let mut in_flight = JoinSet::new();
        while !stop.is_cancelled() {
            while in_flight.try_join_next().is_some() {}
            if IN_FLIGHT - in_flight.len() < BATCH {
                tokio::select! {
                    _ = in_flight.join_next() => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            let leased = self.lease().await;
            let is_full = leased.len() == BATCH;
            for (message, lease_end) in leased {
                let worker = self.clone();
                in_flight.spawn(async move { worker.deliver(message, lease_end).await });
            }
            // A full batch suggests more; a message that came meanwhile has notified.
            if !is_full {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        while in_flight.join_next().await.is_some() {}
    }

    async fn lease(&self) -> Vec<(LeasedMessage, Timestamp)> {
        let now = self.core.now();
        let lease_end = now.plus(LEASE + self.notifiers.longest());
        let leasing = async { self.core.store.write().await?.lease_messages(now, lease_end, BATCH).await };
        let leased = leasing.await.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(error), "the outbox cannot be read");
            Vec::new()
        });
        leased.into_iter().map(|message| (message, lease_end)).collect()
    }

    async fn deliver(&self, message: LeasedMessage, lease_end: Timestamp) {
        let written = match self.attempt(&message, lease_end).await {
            Ok(Outcome::Ended(ending)) => self.end(&message, *ending).await,
            Ok(Outcome::Retry(after, tried)) => self.postpone(&message, after, &tried).await,
            Err(error) => {
                tracing::warn!(message.id, error = %chain(error), "a dependency is down; delivery will be retried");
                self.postpone(&message, None, &Tried::default()).await
            }
        };
        if let Err(error) = written {
            let error = chain(error);
            tracing::warn!(message.id, error, "a message's end was not recorded; it is retried when its lease ends");
        }
    }

    async fn attempt(&self, message: &LeasedMessage, lease_end: Timestamp) -> Result<Outcome, Error> {
        let now = self.core.now();
        let opened = self.core.keyring.open(&message_owner(message.verification()), &message.body);
        let Some(payload) = opened.and_then(|json| MessagePayload::from_json(&json)) else {
            tracing::error!(message.id, "a message cannot be opened: its key is gone");
            let line = AuditLine::new(AuditKind::NotDelivered, "key_gone", Origin::default(), now);
            return Ok(Outcome::Ended(Box::new(Ending {
                state: DeliveryState::Failed,
                by: None,
                tried: Tried::default(),
                line,
            })));
        };
        let span = tracing::info_span!(
            "message",
            message.id,
            verification_id = payload.code().map(|code| tracing::field::display(code.verification_id)),
            destination = payload.to().masked()
        );
        if let Some(parent) = &message.traceparent {
            telemetry::continue_from(&span, parent);
        }
        self.attempt_opened(message, &payload, lease_end).instrument(span).await
    }

    async fn attempt_opened(
        &self,
        message: &LeasedMessage,
        payload: &MessagePayload,
        lease_end: Timestamp,
    ) -> Result<Outcome, Error> {
        let now = self.core.now();
        if message.phantom {
            return self.end_phantom(message, payload, now).await;
        }
        if self.test_identities.code(payload.to(), now).is_some() {
            return self.end_at_test_identity(message, payload, now).await;
        }
        if now >= message.deadline || !self.is_newest(message).await? {
            return Ok(self.not_delivered(message, payload, DeliveryState::Expired, Tried::default()));
        }
        // Right before the sending, so that a code which died meanwhile is never sent.
        if let MessagePayload::Code(code) = payload
            && !self.codes.put(&self.live(code), now).await?
        {
            return Ok(self.not_delivered(message, payload, DeliveryState::Expired, Tried::default()));
        }
        if self.core.now().plus(self.notifiers.longest()) >= lease_end {
            return Ok(Outcome::Retry(None, Tried::default())); // it took too long to get here: another worker may have it by now
        }
        let id = hex(&sha256(&message.body)[..16]); // a seal is never made twice
        let meta = MessageMeta { id, number: message.id, expires_at: message.deadline };
        match self.templates.render(payload, meta) {
            Ok(rendered) => Ok(self.send(message, payload, &rendered).await),
            Err(error) => {
                tracing::error!(error, "a message cannot be rendered");
                let tried = Tried { provider: None, error: Some(error) };
                Ok(self.not_delivered(message, payload, DeliveryState::Failed, tried))
            }
        }
    }

    /// A phantom's code lives like any other, so that attempts at it are answered alike.
    async fn end_phantom(
        &self,
        message: &LeasedMessage,
        payload: &MessagePayload,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        if let MessagePayload::Code(code) = payload {
            let mac = hex(&self.core.random.bytes::<32>());
            self.codes.put(&LiveCode { mac, phantom: true, ..self.live(code) }, now).await?;
        }
        Ok(self.unsent(message, payload, "nobody"))
    }

    /// Nothing is sent to a test identity: its code is known.
    async fn end_at_test_identity(
        &self,
        message: &LeasedMessage,
        payload: &MessagePayload,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        if let MessagePayload::Code(code) = payload {
            self.codes.put(&self.live(code), now).await?;
        }
        Ok(self.unsent(message, payload, "test_identity"))
    }

    /// The end of a message that is as good as sent.
    fn unsent(&self, message: &LeasedMessage, payload: &MessagePayload, outcome: &str) -> Outcome {
        let line = AuditLine { outcome: outcome.to_owned(), ..self.line(AuditKind::NotDelivered, message, payload) };
        Outcome::Ended(Box::new(Ending { state: DeliveryState::Sent, by: None, tried: Tried::default(), line }))
    }

    fn line(&self, kind: AuditKind, message: &LeasedMessage, payload: &MessagePayload) -> AuditLine {
        let origin = Origin::default().about(payload.to());
        AuditLine {
            user_id: message.user_id,
            verification_id: message.verification_id,
            ..AuditLine::new(kind, payload.purpose(), origin, self.core.now())
        }
    }

    /// Its end without a provider; the last one that was tried, now or before, stays with it.
    fn not_delivered(
        &self,
        message: &LeasedMessage,
        payload: &MessagePayload,
        state: DeliveryState,
        tried: Tried,
    ) -> Outcome {
        let line = AuditLine {
            outcome: state.as_str().to_owned(),
            provider: tried.provider.map(str::to_owned).or_else(|| message.provider.clone()),
            detail: tried.error.clone().or_else(|| message.last_error.clone()),
            ..self.line(AuditKind::NotDelivered, message, payload)
        };
        let by = tried.provider.map(|provider| DeliveredBy { provider, segments: None });
        Outcome::Ended(Box::new(Ending { state, by, tried, line }))
    }

    fn live(&self, code: &CodeMessage) -> LiveCode {
        live_code(code, &self.core.keyring)
    }

    async fn send(&self, message: &LeasedMessage, payload: &MessagePayload, rendered: &Message) -> Outcome {
        match self.notifiers.send(rendered).await {
            Ok(accepted) => self.accepted(message, payload, rendered, accepted),
            Err(NotSent { provider, error: SendError::Final(why) }) => {
                tracing::warn!(provider, why, "a message cannot be delivered");
                self.not_delivered(message, payload, DeliveryState::Failed, Tried { provider, error: Some(why) })
            }
            Err(NotSent { provider, error: SendError::Later { cause, after, .. } }) => {
                tracing::warn!(provider, cause, "delivery failed, will retry");
                Outcome::Retry(after, Tried { provider, error: Some(cause) })
            }
        }
    }

    fn accepted(
        &self,
        message: &LeasedMessage,
        payload: &MessagePayload,
        rendered: &Message,
        accepted: Accepted,
    ) -> Outcome {
        let Accepted { provider, reference, took } = accepted;
        let segments = (rendered.channel == Channel::Sms).then(|| segments(&rendered.body));
        tracing::info!(provider, reference, purpose = rendered.purpose, segments, "sent");
        metrics::segments(provider, &rendered.country, segments.unwrap_or_default());
        let segments = segments.and_then(|segments| i32::try_from(segments).ok());
        let line = AuditLine {
            provider: Some(provider.to_owned()),
            reference,
            took_ms: i32::try_from(took.as_millis()).ok(),
            detail: message.last_error.clone(),
            ..self.line(AuditKind::HandedOver, message, payload)
        };
        let by = Some(DeliveredBy { provider, segments });
        let tried = Tried { provider: Some(provider), error: None };
        Outcome::Ended(Box::new(Ending { state: DeliveryState::Sent, by, tried, line }))
    }

    /// Whether the message carries its verification's last code, and that is still to be verified.
    async fn is_newest(&self, message: &LeasedMessage) -> Result<bool, Error> {
        let Some((id, generation)) = message.verification() else { return Ok(true) };
        let _permit = self.db_permits.acquire().await;
        let now = self.core.now();
        let challenge = self.core.store.read().await?.challenge(id, now).await?;
        Ok(challenge
            .is_some_and(|challenge| challenge.verification.generation == generation && challenge.is_sendable(now)))
    }

    async fn end(&self, message: &LeasedMessage, ending: Ending) -> Result<(), Error> {
        let Ending { state, by, tried, line } = ending;
        let _permit = self.db_permits.acquire().await;
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let is_shown = matches!(state, DeliveryState::Sent | DeliveryState::Failed);
        if let Some((id, generation)) = message.verification().filter(|_| is_shown) {
            tx.mark_delivery(id, generation, state, by.as_ref(), now)?;
        }
        if message.phantom {
            tx.delete_message(message.id)?; // a flood for nobody fills no disk
        } else {
            tx.end_message(message.id, state, &tried, now)?;
        }
        tx.append_audit(&[line])?;
        match tx.commit().await {
            Err(StoreError::Stale) => Ok(()), // it is gone, with the account that it named
            committed => Ok(committed?),
        }
    }

    /// Backs off; a time that the provider named is respected, as long as the code lives.
    async fn postpone(&self, message: &LeasedMessage, after: Option<Duration>, tried: &Tried) -> Result<(), Error> {
        let failures = u32::try_from(message.attempts).unwrap_or(0);
        let pause = back_off(&*self.core.random, failures).max(after.unwrap_or_default());
        let due_at = self.core.now().plus(pause).min(message.deadline);
        let _permit = self.db_permits.acquire().await;
        Ok(self.core.store.write().await?.postpone_message(message.id, due_at, tried).await?)
    }
}
