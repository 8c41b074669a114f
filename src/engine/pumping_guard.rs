//! The pumping guard of a node: what it counts, and its word on a message.

use std::time::Duration;

use super::ServiceCounts;
use crate::{
    domain::{
        Address, EventKind, Quota, Reach, Timestamp,
        guard::{Ceiling, Decision, GuardSettings, SLOT_MS},
    },
    error::ExceededLimit,
    metrics,
};

/// Whether the guard holds anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardMode {
    /// It asks for challenges, and refuses above the ceilings.
    Enforce,
    /// It decides and logs.
    Watch,
    /// It counts nothing.
    Off,
}

/// Counts messages to mobiles, and judges by the counts.
#[derive(Clone)]
pub struct PumpingGuard {
    pub(crate) mode: GuardMode,
    pub(crate) settings: GuardSettings,
    pub(crate) counts: ServiceCounts,
}

/// The guard's word on a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    /// It goes out.
    Passes,
    /// It needs a solved puzzle, so many times as dear as usual.
    NeedsPuzzle(u32),
    /// It does not go out.
    Refused(ExceededLimit),
}

impl PumpingGuard {
    /// The digits of the number, if a code of this reach to it is counted.
    fn counted<'a>(&self, reach: Reach, address: &'a Address) -> Option<&'a str> {
        let is_counted = self.mode != GuardMode::Off && reach == Reach::AnyAddress;
        match address {
            Address::Mobile(mobile) if is_counted => Some(mobile.as_str().trim_start_matches('+')),
            _ => None,
        }
    }

    pub(crate) fn word(&self, reach: Reach, address: &Address, now: Timestamp) -> Word {
        let Some(number) = self.counted(reach, address) else { return Word::Passes };
        let region = address.country().unwrap_or_default();
        let (decision, [of_region, in_all]) = {
            let mut counters = self.counts.counters();
            (counters.decision(number, now.millis()), counters.ceilings(&region, now.millis()))
        };
        self.tell(Some(&region), of_region, now);
        self.tell(None, in_all, now);
        if self.mode == GuardMode::Watch {
            return Word::Passes;
        }
        let GuardSettings { ceiling, ceiling_per_country, .. } = self.settings;
        match (of_region, in_all, decision) {
            (Ceiling::Refuse, ..) => Word::Refused(refused(ceiling_per_country, now)),
            (_, Ceiling::Refuse, _) => Word::Refused(refused(ceiling, now)),
            (.., Decision::Held { factor, .. }) => Word::NeedsPuzzle(factor),
            (Ceiling::Challenge, ..) | (_, Ceiling::Challenge, _) => Word::NeedsPuzzle(1),
            _ => Word::Passes,
        }
    }

    fn tell(&self, region: Option<&str>, reached: Ceiling, now: Timestamp) {
        if reached == Ceiling::Below {
            return;
        }
        let name = region.unwrap_or("all");
        metrics::ceiling_reached(name);
        if self.counts.tell(name, EventKind::CeilingReached { region: region.map(str::to_owned) }, now) {
            tracing::warn!(region = name, "a ceiling of messages is reached");
        }
    }

    /// Counts a message.
    pub(crate) fn sent(&self, reach: Reach, address: &Address, at: Timestamp) {
        let Some(number) = self.counted(reach, address) else { return };
        let region = address.country().unwrap_or_default();
        let mut counters = self.counts.counters();
        counters.sent(number, at.millis());
        counters.sent_to(&region, at.millis());
    }

    /// Counts the code of the message of `sent_at` as used.
    pub(crate) fn verified(&self, reach: Reach, address: &Address, sent_at: Timestamp, now: Timestamp) {
        let Some(number) = self.counted(reach, address) else { return };
        self.counts.counters().verified(number, sent_at.millis(), now.millis());
    }
}

/// Until the next slot: with each the oldest messages count no longer.
fn refused((count, span_ms): (u32, i64), now: Timestamp) -> ExceededLimit {
    let left = SLOT_MS - now.millis().rem_euclid(SLOT_MS);
    ExceededLimit {
        policy: "message-ceiling",
        quota: Quota { count: count.saturating_mul(2), millis: span_ms },
        retry_after: Duration::from_millis(left.unsigned_abs()),
    }
}
