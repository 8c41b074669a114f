use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

use super::{Inbox, Message, Notifier, SendError, provider_health::Breaker};
use crate::domain::{Channel, Clock};

/// Who carries what.
#[derive(Clone)]
pub struct Notifiers {
    pub sms: Route,
    pub email: Route,
    /// Gets a copy of all that was sent.
    pub inbox: Option<Arc<Inbox>>,
}

/// The providers of a channel, in the order they are tried.
#[derive(Clone)]
pub struct Route {
    providers: Arc<[Provider]>,
    clock: Arc<dyn Clock>,
}

struct Provider {
    notifier: Arc<dyn Notifier>,
    breaker: Breaker,
    /// A provider that hangs keeps so many messages at most.
    places: Semaphore,
}

/// A try is given up after so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 64;

impl Notifiers {
    /// Sends by the first provider that takes it, and tells which.
    pub async fn send(&self, message: &Message) -> Result<&'static str, SendError> {
        let route = match message.channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        };
        let provider = route.send(message).await?;
        if let Some(inbox) = &self.inbox {
            inbox.keep(message);
        }
        Ok(provider)
    }

    /// The longest that a message takes if every provider hangs.
    pub fn longest(&self) -> Duration {
        let providers = self.sms.providers.len().max(self.email.providers.len());
        PATIENCE * u32::try_from(providers).unwrap_or(u32::MAX)
    }
}

impl Route {
    pub fn new(notifiers: Vec<Arc<dyn Notifier>>, clock: Arc<dyn Clock>) -> Self {
        let provider = |notifier| Provider { notifier, breaker: Breaker::default(), places: Semaphore::new(AT_ONCE) };
        Self { providers: notifiers.into_iter().map(provider).collect(), clock }
    }

    async fn send(&self, message: &Message) -> Result<&'static str, SendError> {
        let mut refused = SendError::later("every provider is being spared, or has its hands full");
        for provider in self.providers.iter() {
            let now = self.clock.now();
            if now >= message.envelope.expires_at {
                break;
            }
            let Ok(_place) = provider.places.try_acquire() else { continue };
            if !provider.breaker.admits(now) {
                continue;
            }
            let name = provider.notifier.name();
            let tried = timeout(PATIENCE, provider.notifier.send(message)).await;
            match tried.unwrap_or_else(|_| Err(SendError::later("no answer in time"))) {
                Ok(()) => {
                    provider.breaker.worked();
                    return Ok(name);
                }
                Err(last @ SendError::Final(_)) => {
                    provider.breaker.worked(); // it said so itself
                    return Err(last);
                }
                Err(later) => {
                    provider.breaker.failed(self.clock.now());
                    tracing::warn!(provider = name, number = message.envelope.number, error = %later, "a provider did not take a message");
                    refused = later;
                }
            }
        }
        Err(refused)
    }
}
