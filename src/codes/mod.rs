//! Live codes: how long they are good, how often they were tried, and the one atomic step that
//! judges a guess. Codes themselves are never kept, only MACs of them.

mod memory;
mod redis;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{Guess, GuessHistory, Purpose, Timestamp, Unavailable, Window, Windows};

pub use memory::MemoryCodes;
pub use redis::RedisCodes;

/// Where codes live. Times come from the caller's clock, judged in whole milliseconds.
#[async_trait]
pub trait CodeStore: Send + Sync {
    /// Makes a code live, and tells whether it is: one older than what is there is refused, one of
    /// the same issue changes nothing (its tries stay spent).
    async fn put(&self, code: &LiveCode, now: Timestamp) -> Result<bool, Unavailable>;

    /// Counts the guess, compares, and marks the code on a match, as one step.
    async fn judge(&self, attempt: &Attempt, now: Timestamp) -> Result<Judged, Unavailable>;

    /// Takes one's own mark off a code that nothing was made of.
    async fn release(&self, claim: &Claim) -> Result<(), Unavailable>;

    /// How many wrong tries a code has left for who presents its id, its destination's budget aside;
    /// zero where there is no such code.
    async fn tries_left(&self, key: &CodeKey, issue: i64, now: Timestamp) -> Result<u32, Unavailable>;
}

/// Names a verification's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeKey {
    /// SHA-256 of the destination, in hexadecimal.
    pub destination: String,
    pub purpose: Purpose,
    pub verification: Uuid,
}

#[derive(Debug, Clone)]
pub struct LiveCode {
    pub key: CodeKey,
    pub issue: i64,
    /// Key id and HMAC; random for a phantom.
    pub mac: String,
    pub tries: u32,
    pub expires_at: Timestamp,
}

/// A guess, and what SQL knows of the code and of the destination.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub key: CodeKey,
    pub issue: i64,
    /// Whether who guesses presents the `verification_id` (or the password, by Basic).
    pub with_id: bool,
    /// The guess under every accepted key.
    pub macs: Vec<String>,
    /// Sets the mark on a match; nobody else knows it.
    pub mark: String,
    pub known: GuessHistory,
    pub budget: Windows,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// The code is right and marked: others are kept off it for [`MARK_MILLIS`].
    Right,
    /// Wrong, and counted; to be written to SQL too.
    Wrong(Guess),
    /// Right, but somebody else has the mark.
    Busy,
    /// No code of this issue lives; nothing is counted.
    NoCode,
    /// The code's tries are spent for this presenter.
    NoTries,
    /// The destination's budget is spent: the window that is full, and when it has room.
    NoBudget(Window, Timestamp),
}

/// A mark that was set.
#[derive(Debug, Clone)]
pub struct Claim {
    pub key: CodeKey,
    pub mark: String,
}

/// A process that died with a mark set loses it after so long.
pub const MARK_MILLIS: i64 = 10_000;
