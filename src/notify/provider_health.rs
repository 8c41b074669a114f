use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::domain::Timestamp;

/// Spares a provider that fails, and the messages that would wait for it.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    /// The last outcomes, good or not.
    recent: VecDeque<bool>,
    failed_in_a_row: usize,
    open_until: Option<Timestamp>,
    /// One try is under way to find out whether it works again.
    probed_until: Timestamp,
}

const IN_A_ROW: usize = 5;
const LAST: usize = 20;
const OPEN_FOR: Duration = Duration::from_secs(10);
/// A probe that was never told of is over.
const PROBE: Duration = Duration::from_secs(5);

impl Breaker {
    /// Whether the provider may be tried now; of those who ask once its time is over, one may.
    pub(super) fn admits(&self, now: Timestamp) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            None => true,
            Some(until) if now < until || now < state.probed_until => false,
            Some(_) => {
                state.probed_until = now.plus(PROBE);
                true
            }
        }
    }

    pub(super) fn worked(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open_until.take().is_some() {
            state.recent.clear();
        }
        state.failed_in_a_row = 0;
        state.remember(true);
    }

    pub(super) fn failed(&self, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed_in_a_row += 1;
        state.remember(false);
        let failures = state.recent.iter().filter(|worked| !**worked).count();
        let often = state.recent.len() == LAST && failures * 2 >= LAST;
        if state.open_until.is_some() || state.failed_in_a_row >= IN_A_ROW || often {
            state.open_until = Some(now.plus(OPEN_FOR));
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
        let breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(at(0));
            assert!(breaker.admits(at(0)));
        }
        breaker.failed(at(0));
        assert!(!breaker.admits(at(9)));
        assert!(breaker.admits(at(10)), "one probe");
        assert!(!breaker.admits(at(10)), "and no other beside it");
        breaker.failed(at(10));
        assert!(!breaker.admits(at(19)) && breaker.admits(at(20)));
        breaker.worked();
        assert!(breaker.admits(at(20)) && breaker.admits(at(20)));
    }

    #[test]
    fn half_of_the_last_twenty_open_it() {
        let breaker = Breaker::default();
        for n in 0..19 {
            if n % 2 == 0 {
                breaker.failed(at(0));
            } else {
                breaker.worked();
            }
            assert!(breaker.admits(at(0)), "{n}");
        }
        breaker.worked();
        assert!(breaker.admits(at(0)), "ten of twenty are found at the next failure");
        breaker.failed(at(0));
        assert!(!breaker.admits(at(0)));
    }

    #[test]
    fn a_probe_that_is_never_told_of_is_over() {
        let breaker = Breaker::default();
        (0..5).for_each(|_| breaker.failed(at(0)));
        assert!(breaker.admits(at(10)) && !breaker.admits(at(14)));
        assert!(breaker.admits(at(15)));
    }
}
