//! The source of the current time.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

use super::Timestamp;

/// The source of the current time: every expiry, limit and token is judged by it.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().plus(since_epoch)
    }
}

/// The machine's clock, moved forward at will: expiry is tested by moving it, never by sleeping.
#[derive(Debug, Default)]
pub struct MovableClock {
    ahead_micros: AtomicI64,
    /// The machine's time at which it stands; 0: it goes.
    stopped_at: AtomicI64,
}

impl MovableClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.ahead_micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl MovableClock {
    /// Puts the clock back, as an operator or a time server may.
    pub fn put_back(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.ahead_micros.fetch_sub(micros, Ordering::SeqCst);
    }

    /// Stops the clock: from here on it is moved by hand alone.
    pub fn stop(&self) {
        self.stopped_at.store(SystemClock.now().micros(), Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_micros.load(Ordering::SeqCst);
        let machine = match self.stopped_at.load(Ordering::SeqCst) {
            0 => SystemClock.now().micros(),
            stopped_at => stopped_at,
        };
        Timestamp::from_micros(machine + ahead)
    }
}
