//! A circuit breaker for dependencies across the network.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::{Dependency, Unavailable};

/// Refuses calls to a dependency for a second after one timed out, and knows how long it has been down.
///
/// It reads the monotonic clock: it guards this process' time, not anybody's data.
#[derive(Debug)]
pub struct CircuitBreaker {
    dependency: Dependency,
    started: Instant,
    refused_until_ms: AtomicU64,
    answered_ms: AtomicU64,
    down_since_ms: AtomicU64,
    suspected: AtomicBool,
    /// The connection that gave no answer last, while nothing has answered since.
    silent: AtomicU64,
}

const PAUSE: Duration = Duration::from_secs(1);
const UP: u64 = u64::MAX;
const NONE_SILENT: u64 = u64::MAX;

impl CircuitBreaker {
    /// A closed breaker.
    pub fn new(dependency: Dependency) -> Self {
        Self {
            dependency,
            started: Instant::now(),
            refused_until_ms: AtomicU64::new(0),
            answered_ms: AtomicU64::new(0),
            down_since_ms: AtomicU64::new(UP),
            suspected: AtomicBool::new(false),
            silent: AtomicU64::new(NONE_SILENT),
        }
    }

    /// The dependency that it guards.
    pub fn dependency(&self) -> Dependency {
        self.dependency
    }

    /// Refuses the call while the breaker is open.
    pub fn check(&self) -> Result<(), Unavailable> {
        if self.elapsed() < self.refused_until_ms.load(Ordering::Relaxed) {
            return Err(Unavailable::new(self.dependency, anyhow::anyhow!("a call timed out within the last second")));
        }
        Ok(())
    }

    /// Records an answer, be it an error of the call itself.
    pub fn answered(&self) {
        self.answered_ms.store(self.elapsed(), Ordering::Relaxed);
        self.silent.store(NONE_SILENT, Ordering::Relaxed);
    }

    /// Opens the breaker: no answer came in time.
    pub fn timed_out(&self) -> Unavailable {
        self.suspect();
        self.refused_until_ms.store(self.elapsed() + millis(PAUSE), Ordering::Relaxed);
        self.no_answer()
    }

    /// Opens the breaker at the second silent connection in a row: the first may be one that the network forgot.
    pub fn timed_out_on(&self, connection: u64) -> Unavailable {
        let silent = self.silent.swap(connection, Ordering::Relaxed);
        if silent != NONE_SILENT && silent != connection {
            return self.timed_out();
        }
        self.suspect();
        self.no_answer()
    }

    /// Judges that no connection was free in time: the dependency is at fault only if it answers nobody.
    pub fn starved(&self) -> Unavailable {
        if self.elapsed() > self.answered_ms.load(Ordering::Relaxed) + millis(PAUSE) {
            return self.timed_out();
        }
        Unavailable::new(self.dependency, anyhow::anyhow!("all connections are busy"))
    }

    /// Tells the regular checks that a call failed, though they may see nothing of it.
    pub fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
    }

    /// Whether a call failed since the last check that found all well.
    pub fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    /// Records the result of a regular check.
    pub fn observe(&self, up: bool) {
        let since = if up { UP } else { self.elapsed().min(self.down_since_ms.load(Ordering::Relaxed)) };
        self.down_since_ms.store(since, Ordering::Relaxed);
        if up {
            self.suspected.store(false, Ordering::Relaxed);
        }
    }

    /// How long every check has failed.
    pub fn down_for(&self) -> Duration {
        match self.down_since_ms.load(Ordering::Relaxed) {
            UP => Duration::ZERO,
            since => Duration::from_millis(self.elapsed().saturating_sub(since).max(1)),
        }
    }

    fn no_answer(&self) -> Unavailable {
        Unavailable::new(self.dependency, anyhow::anyhow!("no answer in time"))
    }

    fn elapsed(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
