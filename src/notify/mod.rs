//! Carrying messages to people. A provider is one file with one trait; `failover` tries them in order.

mod console;
mod failover;
mod http;
mod inbox;
mod provider_health;
mod smtp;
#[cfg(feature = "aws")]
mod sns;
mod templates;
mod twilio;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{Channel, Timestamp};

pub use console::Console;
pub use failover::{Notifiers, Route};
pub use inbox::{Inbox, InboxEntry};
pub use smtp::{Smtp, SmtpSettings};
#[cfg(feature = "aws")]
pub use sns::{Sns, SnsSettings};
pub use templates::{TemplateSettings, Templates, segments};
pub use twilio::{Twilio, TwilioCallback, TwilioSender, TwilioSettings};
pub use webhook::{Webhook, WebhookSecret, WebhookSettings};

/// A message as a person will read it.
#[derive(Clone)]
pub struct Message {
    pub envelope: Envelope,
    pub to: String,
    pub channel: Channel,
    /// The code's purpose, or what the notice tells.
    pub purpose: &'static str,
    pub subject: String,
    pub body: String,
    /// An email's other part.
    pub html: Option<String>,
    /// Notices have none.
    pub otp: Option<String>,
    pub verification_id: Option<Uuid>,
}

/// What a message is known by, whatever stands in it.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The same at each try: what a provider may drop repeats by.
    pub id: String,
    /// The outbox's number of it, for providers that report back.
    pub number: i64,
    /// It is worth nothing after that.
    pub expires_at: Timestamp,
}

/// Carries a message to one person.
#[async_trait]
pub trait Notifier: Send + Sync {
    fn name(&self) -> &'static str;

    /// Hands `message` to the provider.
    ///
    /// `Ok` means accepted, not delivered. Implementations never log the body: it holds a live code.
    async fn send(&self, message: &Message) -> Result<(), SendError>;
}

/// Why a provider did not take a message; never with the message in it.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No try at this address can ever succeed.
    #[error("the address gets no messages: {0}")]
    Final(String),
    /// The provider's trouble, not the address': another one, or a later try, may do it.
    #[error("{cause}")]
    Later {
        cause: String,
        /// When the provider wants to be asked again.
        after: Option<Duration>,
    },
}

impl SendError {
    pub(crate) fn later(cause: impl std::fmt::Display) -> Self {
        Self::Later { cause: cause.to_string(), after: None }
    }
}
