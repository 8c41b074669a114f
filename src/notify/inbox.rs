//! The development inbox.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use super::Message;
use crate::domain::{Clock, Timestamp};

/// The messages that this node sent, for `GET /dev/inbox`; for development only.
pub struct Inbox {
    clock: Arc<dyn Clock>,
    entries: Mutex<VecDeque<InboxEntry>>,
}

/// A message that was sent.
#[expect(missing_docs, reason = "as in `Message`")]
#[derive(Debug, Clone)]
pub struct InboxEntry {
    pub to: String,
    pub channel: &'static str,
    pub purpose: &'static str,
    pub body: String,
    pub otp: Option<String>,
    pub verification_id: Option<Uuid>,
    pub at: Timestamp,
}

const MOST: usize = 1_000;

impl Inbox {
    /// An empty inbox.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entries: Mutex::default() }
    }

    pub(super) fn add(&self, message: &Message) {
        let entry = InboxEntry {
            to: message.to.clone(),
            channel: message.channel.as_str(),
            purpose: message.purpose,
            body: message.body.clone(),
            otp: message.otp.clone(),
            verification_id: message.verification_id,
            at: self.clock.now(),
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push_front(entry);
        entries.truncate(MOST);
    }

    /// The messages, the newest first; of one address if `to` is given.
    pub fn messages(&self, to: Option<&str>) -> Vec<InboxEntry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| to.is_none_or(|to| entry.to.eq_ignore_ascii_case(to))).cloned().collect()
    }
}
