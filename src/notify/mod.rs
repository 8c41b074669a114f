//! Carrying messages to people. A provider is one file with one trait; `console` and the
//! development `inbox` are the ones that need nothing.

mod console;
mod inbox;
mod templates;

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::Channel;

pub use console::Console;
pub use inbox::{Inbox, InboxEntry};
pub use templates::Templates;

/// A message as a person will read it.
#[derive(Clone)]
pub struct Message {
    pub to: String,
    pub channel: Channel,
    /// The code's purpose, or what the notice tells.
    pub purpose: &'static str,
    pub subject: String,
    pub body: String,
    /// Notices have none.
    pub otp: Option<String>,
    pub verification_id: Option<Uuid>,
}

/// Carries a message to one person.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Hands `message` to the provider.
    ///
    /// `Ok` means accepted, not delivered. Implementations never log the body: it holds a live code.
    async fn send(&self, message: &Message) -> anyhow::Result<()>;
}

/// Who carries what.
#[derive(Clone)]
pub struct Notifiers {
    pub sms: Arc<dyn Notifier>,
    pub email: Arc<dyn Notifier>,
    /// Gets a copy of all that was sent.
    pub inbox: Option<Arc<Inbox>>,
}

impl Notifiers {
    pub async fn send(&self, message: &Message) -> anyhow::Result<()> {
        let provider = match message.channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        };
        provider.send(message).await?;
        if let Some(inbox) = &self.inbox {
            inbox.keep(message);
        }
        Ok(())
    }
}
