//! The sends and failed attempts that limits are judged by.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DAY, NoticeKind, Purpose, Quota, RateLimit, Timestamp};

/// The sends to one destination and the failed attempts at its codes in the last 24 hours, by purpose (one
/// that this version does not know is kept as it is). It outlives accounts, codes and Redis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeHistory(BTreeMap<String, PurposeHistory>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PurposeHistory {
    /// Milliseconds, ascending.
    sends: Vec<i64>,
    failed_attempts: Vec<FailedAttempt>,
}

/// A wrong code, written as `ms`, or as `ms:id:generation` when it was the one extra attempt that a code
/// allows after the destination's budget is spent. No two at one destination and purpose have the same
/// millisecond, so SQL can keep them as a set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailedAttempt(String);

/// The failed attempts of one destination and purpose, as SQL has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedAttempts {
    /// In no particular order.
    pub attempts: Vec<FailedAttempt>,
    /// Older ones do not count: the operator lifted the limits.
    pub since: Timestamp,
}

/// Between two notices of one kind to one address, of what was only asked for.
const NOTICE_PAUSE: Duration = Duration::from_hours(1);
/// Notices of what was done, to one address in a day.
const NOTICES_A_DAY: usize = 10;

impl FailedAttempt {
    /// An attempt at a time in milliseconds; `extra_of` is the code whose extra attempt it was.
    pub fn new(at: i64, extra_of: Option<(Uuid, i64)>) -> Self {
        Self(match extra_of {
            None => at.to_string(),
            Some((id, generation)) => format!("{at}:{id}:{generation}"),
        })
    }

    /// Restores an attempt from a code store's answer.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The time in milliseconds; zero for a text that has none, as in `judge.lua`.
    pub fn at(&self) -> i64 {
        let digits = self.0.split(':').next().unwrap_or_default();
        let is_time = digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_time).unwrap_or(0)
    }

    /// Whether it was the extra attempt of this code.
    pub fn is_extra_of(&self, id: Uuid, generation: i64) -> bool {
        self.0.split_once(':').is_some_and(|(_, code)| code == format!("{id}:{generation}"))
    }
}

impl CodeHistory {
    /// When the next code for `purpose` may be sent, if not now, and the quota that decides it; `None` as the
    /// quota means the pause between two codes.
    pub fn next_send(
        &self,
        purpose: Purpose,
        resend_after: Duration,
        limit: &RateLimit,
        now: Timestamp,
    ) -> Option<(Option<Quota>, Timestamp)> {
        let sends = self.times(purpose.as_str());
        let limited = limit.next_allowed(sends, now.millis());
        let limited = limited.map(|(quota, allowed)| (Some(quota), Timestamp::from_millis(allowed)));
        let last = self.last_send(purpose).filter(|_| resend_after > Duration::ZERO);
        let paused = last.map(|last| (None, last.min(now).plus(resend_after)));
        [limited, paused]
            .into_iter()
            .flatten()
            .filter(|(_, allowed)| *allowed > now)
            .max_by_key(|(_, allowed)| *allowed)
    }

    /// Takes times that are still to come for now: the clock was put back. `true` if there were any.
    pub fn settle(&mut self, now: Timestamp) -> bool {
        let mut is_changed = false;
        for at in self.0.values_mut().flat_map(|history| &mut history.sends).filter(|at| **at > now.millis()) {
            *at = now.millis();
            is_changed = true;
        }
        is_changed
    }

    /// When the last code for `purpose` was sent.
    pub fn last_send(&self, purpose: Purpose) -> Option<Timestamp> {
        self.0.get(purpose.as_str()).and_then(|history| history.sends.last()).copied().map(Timestamp::from_millis)
    }

    /// Records that a code was sent.
    pub fn record_send(&mut self, purpose: Purpose, at: Timestamp) {
        let sends = &mut self.0.entry(purpose.as_str().to_owned()).or_default().sends;
        sends.push(at.millis());
        sends.sort_unstable();
        self.drop_older_than_a_day(at);
    }

    /// Records a notice of this kind, unless it is one too many. Of what was only asked for, strangers could make any
    /// number, so one goes an hour; what was done is always told, but for a flood.
    pub fn record_notice(&mut self, notice: NoticeKind, now: Timestamp) -> bool {
        self.drop_older_than_a_day(now);
        let is_due = if notice.is_done() {
            let done = NoticeKind::ALL.into_iter().filter(|kind| kind.is_done());
            done.map(|kind| self.times(kind.as_str()).len()).sum::<usize>() < NOTICES_A_DAY
        } else {
            let last = self.times(notice.as_str()).last();
            last.is_none_or(|last| Timestamp::from_millis(*last).plus(NOTICE_PAUSE) <= now)
        };
        if is_due {
            self.0.entry(notice.as_str().to_owned()).or_default().sends.push(now.millis());
        }
        is_due
    }

    fn times(&self, name: &str) -> &[i64] {
        self.0.get(name).map(|history| history.sends.as_slice()).unwrap_or_default()
    }

    /// Records a wrong code; a repeat of the same attempt changes nothing.
    pub fn record_failed_attempt(&mut self, purpose: Purpose, attempt: FailedAttempt, now: Timestamp) {
        let attempts = &mut self.0.entry(purpose.as_str().to_owned()).or_default().failed_attempts;
        if !attempts.contains(&attempt) {
            attempts.push(attempt);
        }
        self.drop_older_than_a_day(now);
    }

    /// The failed attempts at codes for `purpose`.
    pub fn failed_attempts(&self, purpose: Purpose) -> Vec<FailedAttempt> {
        self.0.get(purpose.as_str()).map(|history| history.failed_attempts.clone()).unwrap_or_default()
    }

    fn drop_older_than_a_day(&mut self, now: Timestamp) {
        let oldest = now.minus(DAY).millis();
        for history in self.0.values_mut() {
            history.sends.retain(|at| *at > oldest);
            history.failed_attempts.retain(|attempt| attempt.at() > oldest);
        }
        self.0.retain(|_, history| !history.sends.is_empty() || !history.failed_attempts.is_empty());
    }
}
