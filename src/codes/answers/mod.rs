//! Answers that are kept for who asks again with the same `Idempotency-Key`. They are sealed before they come here.

mod memory;
mod redis;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{DAY, Timestamp, Unavailable};

pub use memory::MemoryAnswers;
pub use redis::RedisAnswers;

/// Keeps answers. Times are judged in whole milliseconds.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// Looks a request up, and reserves its name if it is new: of several at once, one is.
    async fn begin(&self, request: &KeyedRequest, now: Timestamp) -> Result<Begun, Unavailable>;

    /// Keeps the answer, which is not empty, for [`KEPT`]; `None` forgets the request. A request that took longer than
    /// [`RUNNING`] changes nothing once another has begun, and may be forgotten before.
    async fn end(&self, request: &KeyedRequest, answer: Option<&[u8]>, now: Timestamp) -> Result<(), Unavailable>;
}

/// A request with an `Idempotency-Key`.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    /// The hash of the call, the key, the destination and the client.
    pub name: String,
    /// The hash of the body.
    pub fingerprint: String,
    /// Distinguishes it from all others.
    pub id: String,
}

/// How a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nobody has asked before.
    New,
    /// The same request is running.
    Running,
    /// The key was used with another body.
    AnotherBody,
    /// The same request was answered.
    Answered(Vec<u8>),
}

/// How long an answer is kept.
pub const KEPT: Duration = DAY;
/// The longest that a request is taken to run.
pub const RUNNING: Duration = Duration::from_secs(30);
