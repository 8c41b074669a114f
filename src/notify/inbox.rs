use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use super::Message;
use crate::domain::{Clock, Timestamp};

/// The messages this node sent, for `GET /dev/inbox`: development only.
pub struct Inbox {
    clock: Arc<dyn Clock>,
    kept: Mutex<VecDeque<InboxEntry>>,
}

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

const KEPT: usize = 1_000;

impl Inbox {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    pub(super) fn keep(&self, message: &Message) {
        let entry = InboxEntry {
            to: message.to.clone(),
            channel: message.channel.as_str(),
            purpose: message.purpose,
            body: message.body.clone(),
            otp: message.otp.clone(),
            verification_id: message.verification_id,
            at: self.clock.now(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(entry);
        kept.truncate(KEPT);
    }

    /// The newest first; of one address where `to` names it.
    pub fn messages(&self, to: Option<&str>) -> Vec<InboxEntry> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().filter(|entry| to.is_none_or(|to| entry.to.eq_ignore_ascii_case(to))).cloned().collect()
    }
}
