//! Limits as exact sliding logs: a use is reserved before the thing is done, and cancelled if it is not to count.

mod crowd;
mod memory;
mod redis;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Quota, RateLimit, Timestamp, Unavailable};

pub use memory::MemoryLimits;
pub use redis::RedisLimits;

/// Counts uses within quotas. A denied use counts for nothing. Times are judged in whole milliseconds.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Counts a use under all its names, unless a quota is exhausted under one of them.
    async fn reserve(&self, key: &LimitKey, now: Timestamp) -> Result<Option<Denial>, Unavailable>;

    /// Takes a counted use back.
    async fn cancel(&self, key: &LimitKey) -> Result<(), Unavailable>;

    /// The failures in a row under a name, with one more if `adds`. A day without one ends the row; one that has reached
    /// `most` stays for [`CLOSED_FOR`].
    async fn in_a_row(&self, name: &str, most: u32, adds: bool, now: Timestamp) -> Result<u32, Unavailable>;

    /// Forgets all uses under a name.
    async fn reset(&self, name: &str) -> Result<(), Unavailable>;
}

/// How long a row that is full stays.
pub const CLOSED_FOR: Duration = Duration::from_hours(90 * 24);

/// A use: the names that it counts under, the limit, and its own id.
#[derive(Debug, Clone)]
pub struct LimitKey {
    /// The policy and the subject, for example a client's network, and those around it, each with how many times over
    /// the limit holds there. In a cluster they share a hash tag.
    pub names: Vec<(String, u32)>,
    /// The quotas.
    pub limit: RateLimit,
    /// Uses before this do not count: the operator lifted the limits.
    pub since: Timestamp,
    /// Distinguishes this use from every other.
    pub use_id: String,
}

/// A use that was not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// The exhausted quota.
    pub quota: Quota,
    /// When the next use is allowed.
    pub allowed_at: Timestamp,
}
