use std::io::Write as _;

use async_trait::async_trait;

use super::{Message, Notifier};
use crate::domain::Channel;

/// Prints messages, codes and all, to standard output: how one registers on a laptop.
///
/// It is the one place that shows a code; with `PostgreSQL` the settings must ask for it by name.
pub struct Console;

#[async_trait]
impl Notifier for Console {
    async fn send(&self, message: &Message) -> anyhow::Result<()> {
        let Message { to, body, subject, .. } = message;
        let text = match message.channel {
            Channel::Sms => format!("[console] SMS to {to}: {body}\n"),
            Channel::Email => format!("[console] email to {to}: {subject}: {body}\n"),
        };
        // One write a message, so that two never mix; and off the runtime, for a pipe may be full.
        let printed = tokio::task::spawn_blocking(move || {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        });
        Ok(printed.await??)
    }
}
