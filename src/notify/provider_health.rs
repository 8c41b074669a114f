//! Skipping providers that fail.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::domain::Timestamp;

/// Skips a provider that fails, for the sake of the messages that would wait for it.
#[derive(Default)]
pub(super) struct ProviderHealth(Mutex<State>);

#[derive(Default)]
struct State {
    /// Whether the last tries worked.
    recent: VecDeque<bool>,
    failed_in_a_row: usize,
    skipped_until: Option<Timestamp>,
    /// One try is under way to find out whether it works again.
    probed_until: Timestamp,
}

const IN_A_ROW: usize = 5;
const LAST: usize = 20;
const SKIPPED_FOR: Duration = Duration::from_secs(10);
/// A probe without an outcome ends then.
const PROBE: Duration = Duration::from_secs(5);

impl ProviderHealth {
    /// Whether the provider may be tried now; once its pause has ended, one caller may.
    pub(super) fn may_try(&self, now: Timestamp) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.skipped_until {
            None => true,
            Some(until) if now < until || now < state.probed_until => false,
            Some(_) => {
                state.probed_until = now.plus(PROBE);
                true
            }
        }
    }

    /// Records a success.
    pub(super) fn worked(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.skipped_until.take().is_some() {
            state.recent.clear();
        }
        state.failed_in_a_row = 0;
        state.remember(true);
    }

    /// Records a failure.
    pub(super) fn failed(&self, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed_in_a_row += 1;
        state.remember(false);
        let failures = state.recent.iter().filter(|worked| !**worked).count();
        let often = state.recent.len() == LAST && failures * 2 >= LAST;
        if state.skipped_until.is_some() || state.failed_in_a_row >= IN_A_ROW || often {
            state.skipped_until = Some(now.plus(SKIPPED_FOR));
            state.probed_until = Timestamp::default();
        }
    }
}

impl State {
    fn remember(&mut self, worked: bool) {
        self.recent.push_back(worked);
        if self.recent.len() > LAST {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
        let health = ProviderHealth::default();
        for _ in 0..4 {
            health.failed(at(0));
            assert!(health.may_try(at(0)));
        }
        health.failed(at(0));
        assert!(!health.may_try(at(9)));
        assert!(health.may_try(at(10)), "one probe");
        assert!(!health.may_try(at(10)), "and no other beside it");
        health.failed(at(10));
        assert!(!health.may_try(at(19)) && health.may_try(at(20)));
        health.worked();
        assert!(health.may_try(at(20)) && health.may_try(at(20)));
    }

    #[test]
    fn half_of_the_last_twenty_open_it() {
        let health = ProviderHealth::default();
        for n in 0..19 {
            if n % 2 == 0 {
                health.failed(at(0));
            } else {
                health.worked();
            }
            assert!(health.may_try(at(0)), "{n}");
        }
        health.worked();
        assert!(health.may_try(at(0)), "ten of twenty are found at the next failure");
        health.failed(at(0));
        assert!(!health.may_try(at(0)));
    }

    #[test]
    fn a_probe_without_an_outcome_ends() {
        let health = ProviderHealth::default();
        (0..5).for_each(|_| health.failed(at(0)));
        assert!(health.may_try(at(10)) && !health.may_try(at(14)));
        assert!(health.may_try(at(15)));
    }
}
