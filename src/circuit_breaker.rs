use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::{Part, Unavailable};

/// Refuses a part for a second after it timed out, without asking it again.
///
/// It counts on the monotonic clock: it guards this process' time, not anybody's data.
#[derive(Debug)]
pub struct Breaker {
    part: Part,
    started: Instant,
    refused_until_ms: AtomicU64,
    answered_ms: AtomicU64,
    down_since_ms: AtomicU64,
}

const PAUSE: Duration = Duration::from_secs(1);
const UP: u64 = u64::MAX;

impl Breaker {
    pub fn new(part: Part) -> Self {
        Self {
            part,
            started: Instant::now(),
            refused_until_ms: AtomicU64::new(0),
            answered_ms: AtomicU64::new(0),
            down_since_ms: AtomicU64::new(UP),
        }
    }

    pub fn part(&self) -> Part {
        self.part
    }

    pub fn check(&self) -> Result<(), Unavailable> {
        if self.elapsed() < self.refused_until_ms.load(Ordering::Relaxed) {
            return Err(Unavailable::new(self.part, anyhow::anyhow!("it timed out within the last second")));
        }
        Ok(())
    }

    /// An answer came, be it an error of the statement's own.
    pub fn answered(&self) {
        self.answered_ms.store(self.elapsed(), Ordering::Relaxed);
    }

    /// No answer came in time.
    pub fn timed_out(&self) -> Unavailable {
        self.refused_until_ms.store(self.elapsed() + millis(PAUSE), Ordering::Relaxed);
        Unavailable::new(self.part, anyhow::anyhow!("no answer in time"))
    }

    /// No connection was free in time: the part's fault only where it answers nobody.
    pub fn starved(&self) -> Unavailable {
        if self.elapsed() > self.answered_ms.load(Ordering::Relaxed) + millis(PAUSE) {
            return self.timed_out();
        }
        Unavailable::new(self.part, anyhow::anyhow!("all connections are busy"))
    }

    /// What a regular look at the part found.
    pub fn observe(&self, up: bool) {
        let since = if up { UP } else { self.elapsed().min(self.down_since_ms.load(Ordering::Relaxed)) };
        self.down_since_ms.store(since, Ordering::Relaxed);
    }

    /// For how long every look at it has failed.
    pub fn down_for(&self) -> Duration {
        match self.down_since_ms.load(Ordering::Relaxed) {
            UP => Duration::ZERO,
            since => Duration::from_millis(self.elapsed().saturating_sub(since).max(1)),
        }
    }

    fn elapsed(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
