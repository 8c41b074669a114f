//! How long codes are: as their policy says, and longer while many are guessed at.

use std::time::Duration;

use super::ServiceCounts;
use crate::{
    domain::{EventKind, Purpose, Quota, Timestamp},
    metrics,
};

/// Counts wrong codes by purpose over the whole service: the odds of one mailbox are small, those of ten thousand
/// tried in turn are not.
#[derive(Clone)]
pub struct CodeLength {
    pub(crate) counts: ServiceCounts,
    /// Beyond so many wrong codes, and more than right ones, codes are longer; `None`: never.
    pub(crate) limit: Option<Quota>,
}

/// Short codes get so many digits then (NIST SP 800-63B-4, 3.1.3: twenty bits), for so long.
const SAFE_DIGITS: u32 = 6;
const LONGER_FOR: Duration = Duration::from_hours(1);

impl CodeLength {
    /// Counts a code that was judged.
    pub(crate) fn judged(&self, purpose: Purpose, is_right: bool, now: Timestamp) {
        if self.limit.is_some() {
            self.counts.counters().judged(purpose.as_str(), is_right, now.millis());
        }
    }

    /// The digits of a new code of a policy that gives it so many.
    pub(crate) fn digits(&self, purpose: Purpose, of_policy: u32, now: Timestamp) -> u32 {
        let Some(limit) = self.limit.filter(|_| of_policy < SAFE_DIGITS) else { return of_policy };
        if self.is_guessed_at(purpose, limit, now) { SAFE_DIGITS } else { of_policy }
    }

    fn is_guessed_at(&self, purpose: Purpose, limit: Quota, now: Timestamp) -> bool {
        let (name, millis) = (purpose.as_str(), now.millis());
        let longer_for = i64::try_from(LONGER_FOR.as_millis()).unwrap_or(i64::MAX);
        {
            let mut counters = self.counts.counters();
            if counters.marked_at(name).is_some_and(|since| since + longer_for > millis) {
                return true;
            }
            let (right, wrong) = counters.judged_within(name, limit.millis, millis);
            if wrong <= limit.count || wrong <= right {
                return false;
            }
            counters.mark(name, millis);
        }
        metrics::limit_exceeded("wrong-codes");
        if self.counts.tell(name, EventKind::WrongCodesReached { purpose }, now) {
            tracing::warn!(purpose = name, "too many wrong codes: short codes have six digits for an hour");
        }
        true
    }
}
