//! Delivering messages to people. A provider is one file with one trait; `failover` tries them in order.

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

use crate::domain::{AppHash, Channel, Timestamp};

pub use console::Console;
pub use failover::{Accepted, NotSent, Notifiers, ProviderChain};
pub use inbox::{Inbox, InboxEntry};
pub use smtp::{Smtp, SmtpSettings};
#[cfg(feature = "aws")]
pub use sns::{Sns, SnsSettings};
pub use templates::{TemplateSettings, Templates, segments};
pub use twilio::{Twilio, TwilioCallback, TwilioSender, TwilioSettings};
pub use webhook::{Webhook, WebhookSettings};

/// A message as a person reads it.
#[derive(Clone)]
pub struct Message {
    /// Its identity.
    pub meta: MessageMeta,
    /// The address.
    pub to: String,
    /// The country of a mobile, in two letters; empty for emails.
    pub country: String,
    /// How it is delivered.
    pub channel: Channel,
    /// The language that it is written in.
    pub locale: String,
    /// The name in it.
    pub brand: String,
    /// The purpose of the code, or the kind of the notice.
    pub purpose: &'static str,
    /// The subject of an email.
    pub subject: String,
    /// A text message, or the plain part of an email.
    pub body: String,
    /// The HTML part of an email.
    pub html: Option<String>,
    /// The code; notices have none.
    pub otp: Option<String>,
    /// The verification of the code.
    pub verification_id: Option<Uuid>,
    /// The Android app that asked for the code, which a text message ends with.
    pub app_hash: Option<AppHash>,
}

/// The identity of a message, whatever its content.
#[derive(Debug, Clone)]
pub struct MessageMeta {
    /// The same at each try, so that a provider can drop repeats.
    pub id: String,
    /// Its number in the outbox, for providers that report back.
    pub number: i64,
    /// When it becomes worthless.
    pub expires_at: Timestamp,
}

/// The provider's own id of a message that it took, if it gives one.
pub type Receipt = Option<String>;

/// A provider: delivers a message to one person.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// The name in settings, logs and statistics.
    fn name(&self) -> &'static str;

    /// Hands `message` to the provider.
    ///
    /// `Ok` means accepted, not delivered. Implementations never log the body: it contains a live code.
    async fn send(&self, message: &Message) -> Result<Receipt, SendError>;

    /// Tries whether the provider would take a message, without sending one to a person.
    async fn check(&self) -> Result<(), SendError>;
}

/// The reason why a provider did not take a message, without its content.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No try for this address can succeed.
    #[error("the address cannot receive messages: {0}")]
    Final(String),
    /// Another provider, or a later try, may succeed.
    #[error("{cause}")]
    Later {
        /// The party at fault.
        fault: Fault,
        /// For the log.
        cause: String,
        /// How long the provider wants to be left alone.
        after: Option<Duration>,
    },
}

/// The party at fault when a message was not taken. A refusal of one message slows no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The provider answered, and refused this message: its text, its sender, its country, a mailbox for now.
    Message,
    /// The provider is down, overloaded or refuses everything: it counts against it.
    Provider,
}

impl SendError {
    pub(crate) fn later(cause: impl std::fmt::Display) -> Self {
        Self::Later { fault: Fault::Provider, cause: failover::shown(&cause.to_string()), after: None }
    }

    pub(crate) fn of_message(self) -> Self {
        match self {
            Self::Later { cause, after, .. } => Self::Later { fault: Fault::Message, cause, after },
            last @ Self::Final(_) => last,
        }
    }
}
