//! The console, for development.

use std::{io::Write as _, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{Message, Notifier, Receipt, SendError};
use crate::domain::Channel;

/// Prints messages, codes included, to standard output, so that a developer can register.
///
/// It is the only place that shows codes; with PostgreSQL the settings must name it.
pub struct Console {
    /// One write at a time: while a full pipe blocks one, the others wait here, where they can still be
    /// cancelled, and not in a thread.
    writing: Arc<Semaphore>,
}

impl Default for Console {
    fn default() -> Self {
        Self { writing: Arc::new(Semaphore::new(1)) }
    }
}

#[async_trait]
impl Notifier for Console {
    fn name(&self) -> &'static str {
        "console"
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let Message { to, body, subject, .. } = message;
        let text = match message.channel {
            Channel::Sms => format!("[console] SMS to {to}: {body}\n"),
            Channel::Email => format!("[console] email to {to}: {subject}\n{body}\n"),
        };
        let permit = Arc::clone(&self.writing).acquire_owned().await.map_err(SendError::later)?;
        let printed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        });
        printed.await.map_err(SendError::later)?.map_err(SendError::later)?;
        Ok(None)
    }

    async fn check(&self) -> Result<(), SendError> {
        Ok(())
    }
}
