//! How often somebody may do something: sliding logs, exact, counted before the thing is done.

mod memory;
mod redis;

use async_trait::async_trait;

use crate::domain::{Timestamp, Unavailable, Windows};

pub use memory::MemoryLimits;
pub use redis::RedisLimits;

/// Counts uses within windows. A refused use counts for nothing.
#[async_trait]
pub trait Limiter: Send + Sync {
    async fn take(&self, counter: &Counter, now: Timestamp) -> Result<Taken, Unavailable>;

    /// Takes back what was counted for a use that is not to count.
    async fn give_back(&self, counter: &Counter) -> Result<(), Unavailable>;

    async fn clear(&self, name: &str) -> Result<(), Unavailable>;
}

/// What is counted, and how much of it passes.
#[derive(Debug, Clone)]
pub struct Counter {
    pub name: String,
    pub windows: Windows,
    /// Entries before it don't count: the operator lifted them.
    pub since: Timestamp,
    /// Tells this use from every other.
    pub entry: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Passed,
    /// The window that is full, and when it has room.
    Refused {
        count: u32,
        window_s: u32,
        opens: Timestamp,
    },
}
