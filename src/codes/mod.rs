//! Live codes: how long they are valid, how often they were attempted, and the one atomic step that judges an
//! attempt. Codes themselves are never stored, only their MACs.

mod answers;
mod attempt_judge;
mod crowds;
mod memory;
mod redis;

use std::net::IpAddr;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    DestinationHash, FailedAttempt, FailedAttempts, Purpose, Quota, RateLimit, Timestamp, Unavailable,
};

pub use answers::{AnswerStore, Begun, KEPT, KeyedRequest, MemoryAnswers, RUNNING, RedisAnswers};
pub use attempt_judge::{AttemptJudge, LimitedVerdict};
pub use memory::MemoryCodes;
pub use redis::RedisCodes;

/// The store of live codes. Times come from the caller's clock and are judged in whole milliseconds; these and the
/// generations have at most 14 digits, which is what Redis' Lua keeps of a number.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
/// use enroll::{
///     codes::{Attempt, CodeKey, CodeStore, LiveCode, MemoryCodes, Verdict},
///     domain::{DestinationHash, FailedAttempts, Purpose, RateLimit, Timestamp},
/// };
///
/// let codes = MemoryCodes::new(100);
/// let key = CodeKey {
///     destination: DestinationHash::of_key("+919876543210"),
///     purpose: Purpose::Login,
///     verification: uuid::Uuid::nil(),
/// };
/// let now = Timestamp::from_millis(0);
/// let expires_at = Timestamp::from_millis(120_000);
/// let code = LiveCode {
///     key: key.clone(),
///     generation: 1,
///     mac: "mac".into(),
///     phantom: false,
///     asked_from: None,
///     tries: 3,
///     expires_at,
/// };
/// codes.put(&code, now).await?;
///
/// let attempt = Attempt {
///     key,
///     generation: 1,
///     with_id: true,
///     allows_extra: true,
///     macs: vec!["mac".into()],
///     claim_id: "mine".into(),
///     known: FailedAttempts::default(),
///     budget: RateLimit::unlimited(),
/// };
/// assert_eq!(codes.judge(&attempt, now).await?, Verdict::Right);
/// # Ok::<(), enroll::domain::Unavailable>(())
/// # }).expect("memory does not fail");
/// ```
#[async_trait]
pub trait CodeStore: Send + Sync {
    /// Makes a code live, and returns whether it is: one older than the stored one is refused, one of the same
    /// generation changes nothing (its tries stay spent).
    async fn put(&self, code: &LiveCode, now: Timestamp) -> Result<bool, Unavailable>;

    /// Counts the attempt, compares, and claims the code on a match, as one step.
    async fn judge(&self, attempt: &Attempt, now: Timestamp) -> Result<Verdict, Unavailable>;

    /// Gives up one's own claim on a code that was not used after all.
    async fn release(&self, claim: &Claim) -> Result<(), Unavailable>;

    /// The wrong attempts that a code still allows to callers that present its id, its destination's budget
    /// aside; zero if there is no such code.
    async fn tries_left(&self, key: &CodeKey, generation: i64, now: Timestamp) -> Result<u32, Unavailable>;

    /// The room for another code that is asked for from there, and may turn out to be a phantom.
    fn room(&self, from: IpAddr, may_be_phantom: bool, now: Timestamp) -> Room;
}

/// The room for another code. The crowd that fills the store finds the less of it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// For anybody's.
    Ample,
    /// For who solves a puzzle.
    Scarce,
    /// For none from there, out of so many.
    Spent(u32),
}

/// The name of a verification's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeKey {
    /// Where the code was sent.
    pub destination: DestinationHash,
    /// The code's purpose.
    pub purpose: Purpose,
    /// The verification's id.
    pub verification: Uuid,
}

/// A code as it is stored.
#[derive(Debug, Clone)]
pub struct LiveCode {
    /// Its name.
    pub key: CodeKey,
    /// The number of the code among the verification's.
    pub generation: i64,
    /// Key id and HMAC; random for a phantom.
    pub mac: String,
    /// Whether it is nobody's: where there is no room, it gives way.
    pub phantom: bool,
    /// The IP address that asked for it, where it is known.
    pub asked_from: Option<IpAddr>,
    /// The wrong attempts that it allows.
    pub tries: u32,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// An attempt, and what SQL knows of the code and the destination.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The code that is attempted.
    pub key: CodeKey,
    /// The generation that SQL has.
    pub generation: i64,
    /// Whether the caller presents the `verification_id` (or the password, by Basic).
    pub with_id: bool,
    /// Whether a code takes one more attempt once the budget is spent.
    pub allows_extra: bool,
    /// The presented code under every accepted key.
    pub macs: Vec<String>,
    /// Identifies the claim on a match; nobody else knows it.
    pub claim_id: String,
    /// The failed attempts that SQL has: the store may have forgotten some.
    pub known: FailedAttempts,
    /// The destination's limit of failed attempts.
    pub budget: RateLimit,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The code is right and now claimed: others are kept off it for [`CLAIM_MS`].
    Right,
    /// Wrong, and counted; to be recorded in SQL too.
    Wrong(FailedAttempt),
    /// Right, but claimed by another request.
    Claimed,
    /// No code of this generation is live; nothing is counted.
    NoCode,
    /// The code allows this kind of caller no more attempts.
    NoTries,
    /// The destination's budget is spent: the quota, and when it allows another attempt.
    NoBudget(Quota, Timestamp),
}

/// A claim on a code that was judged right.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The code.
    pub key: CodeKey,
    /// The claim's id.
    pub id: String,
}

/// How long a claim lasts, in milliseconds: the claim of a process that died ends then.
pub const CLAIM_MS: i64 = 10_000;
