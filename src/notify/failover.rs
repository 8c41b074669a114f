//! Trying providers in their order.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use tracing::Instrument as _;

use super::{Fault, Inbox, Message, Notifier, Receipt, SendError, provider_health::ProviderHealth};
use crate::{
    domain::{Channel, Clock},
    metrics,
};

/// The providers of each channel.
#[derive(Clone)]
pub struct Notifiers {
    /// For text messages.
    pub sms: ProviderChain,
    /// For emails.
    pub email: ProviderChain,
    /// Receives a copy of every message that was sent.
    pub inbox: Option<Arc<Inbox>>,
}

/// A provider took the message.
#[derive(Debug)]
pub struct Accepted {
    /// Its name.
    pub provider: &'static str,
    /// Its own id of the message.
    pub reference: Receipt,
    /// How long it took.
    pub took: Duration,
}

/// No provider took the message.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotSent {
    /// The one that was tried last.
    pub provider: Option<&'static str>,
    /// Its reason.
    pub error: SendError,
}

/// The providers of a channel, in the order they are tried.
#[derive(Clone)]
pub struct ProviderChain {
    providers: Arc<[Provider]>,
    clock: Arc<dyn Clock>,
}

struct Provider {
    notifier: Arc<dyn Notifier>,
    health: ProviderHealth,
    /// A provider that hangs holds up so many messages at most.
    in_flight: Semaphore,
}

/// The time limit of a try.
pub(super) const TRY_TIMEOUT: Duration = Duration::from_secs(3);
/// Messages at one provider at once.
const AT_ONCE: usize = 64;

impl Notifiers {
    /// Sends by the first provider that takes the message.
    pub async fn send(&self, message: &Message) -> Result<Accepted, NotSent> {
        let chain = match message.channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        };
        let accepted = chain.send(message).await?;
        if let Some(inbox) = &self.inbox {
            inbox.add(message);
        }
        Ok(accepted)
    }

    /// How long a message takes if every provider hangs.
    pub fn longest(&self) -> Duration {
        let providers = self.sms.providers.len().max(self.email.providers.len());
        TRY_TIMEOUT * u32::try_from(providers).unwrap_or(u32::MAX)
    }
}

impl ProviderChain {
    /// A chain of these providers.
    pub fn new(notifiers: Vec<Arc<dyn Notifier>>, clock: Arc<dyn Clock>) -> Self {
        let provider =
            |notifier| Provider { notifier, health: ProviderHealth::default(), in_flight: Semaphore::new(AT_ONCE) };
        Self { providers: notifiers.into_iter().map(provider).collect(), clock }
    }

    async fn send(&self, message: &Message) -> Result<Accepted, NotSent> {
        let skipped = SendError::later("every provider is being skipped, or has too many messages");
        let mut last = NotSent { provider: None, error: skipped };
        for provider in self.providers.iter() {
            let now = self.clock.now();
            if now >= message.meta.expires_at {
                break;
            }
            let Ok(_permit) = provider.in_flight.try_acquire() else { continue };
            if !provider.health.may_try(now) {
                continue;
            }
            let name = provider.notifier.name();
            let started = Instant::now();
            let span = tracing::info_span!("provider", provider = name, purpose = message.purpose);
            let tried = timeout(TRY_TIMEOUT, provider.notifier.send(message).instrument(span)).await;
            let answer = tried.unwrap_or_else(|_| Err(SendError::later("no answer in time")));
            metrics::delivery(name, &message.country, outcome_name(&answer), started.elapsed());
            match answer {
                Ok(reference) => {
                    provider.health.worked();
                    let reference = reference.map(|id| shown(&id));
                    return Ok(Accepted { provider: name, reference, took: started.elapsed() });
                }
                Err(error @ SendError::Final(_)) => {
                    provider.health.worked(); // it answered
                    return Err(NotSent { provider: Some(name), error });
                }
                Err(later) => {
                    match later {
                        SendError::Later { fault: Fault::Message, .. } => provider.health.worked(), // it answered
                        _ => provider.health.failed(self.clock.now()),
                    }
                    tracing::warn!(provider = name, message.id = message.meta.number, error = %later, "a provider did not take a message");
                    last = NotSent { provider: Some(name), error: later };
                }
            }
        }
        Err(last)
    }
}

/// A provider's words, as they may be kept: without control characters, and not long.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

/// The outcome of a try, for the metrics.
fn outcome_name(answer: &Result<Receipt, SendError>) -> &'static str {
    match answer {
        Ok(_) => "accepted",
        Err(SendError::Final(_)) => "refused",
        Err(SendError::Later { .. }) => "failed",
    }
}
