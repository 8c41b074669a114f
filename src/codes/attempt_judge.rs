//! Judging an attempt within the limit of its client, which only one that was wrong stays counted in.

use std::sync::{Arc, LazyLock};

use ::redis::Script;

use super::{
    Attempt, CodeStore, Verdict,
    redis::{RedisCodes, parse_quota, parse_verdict},
};
use crate::{
    domain::{Timestamp, Unavailable},
    limits::{Denial, LimitKey, Limiter, RedisLimits},
    redis::RedisClient,
};

static JUDGE_WITHIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        "local function reserve(KEYS, ARGV)\n",
        include_str!("../limits/reserve.lua"),
        "end\nlocal function cancel(KEYS, ARGV)\n",
        include_str!("../limits/cancel.lua"),
        "end\nlocal function judge(KEYS, ARGV)\n",
        include_str!("judge.lua"),
        "end\n",
        include_str!("judge_within.lua"),
    ))
});

/// Judges attempts, each within the limit of its client.
#[derive(Clone)]
pub enum AttemptJudge {
    /// By one step after the other.
    InSteps {
        /// The codes.
        codes: Arc<dyn CodeStore>,
        /// The uses of the clients.
        limits: Arc<dyn Limiter>,
    },
    /// By one script, where one Redis has both.
    AtOnce(RedisClient),
}

/// The result of an attempt within a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitedVerdict {
    /// It was judged.
    Judged(Verdict),
    /// The client's limit allows no more; nothing was judged.
    Denied(Denial),
}

impl AttemptJudge {
    /// One of this Redis: a cluster's nodes have keys of their own.
    pub fn of_redis(client: RedisClient) -> Self {
        if client.is_cluster() {
            let codes = Arc::new(RedisCodes::new(client.clone()));
            return Self::InSteps { codes, limits: Arc::new(RedisLimits::new(client)) };
        }
        Self::AtOnce(client)
    }

    /// Counts the use of the limit and judges the attempt; a use stays counted that was wrong, or met no code.
    pub async fn judge(
        &self,
        attempt: &Attempt,
        within: &LimitKey,
        now: Timestamp,
    ) -> Result<LimitedVerdict, Unavailable> {
        match self {
            Self::InSteps { codes, limits } => in_steps(&**codes, &**limits, attempt, within, now).await,
            Self::AtOnce(client) if within.limit.is_unlimited() => {
                RedisCodes::new(client.clone()).judge(attempt, now).await.map(LimitedVerdict::Judged)
            }
            Self::AtOnce(client) => at_once(client, attempt, within, now).await,
        }
    }
}

async fn in_steps(
    codes: &dyn CodeStore,
    limits: &dyn Limiter,
    attempt: &Attempt,
    within: &LimitKey,
    now: Timestamp,
) -> Result<LimitedVerdict, Unavailable> {
    if within.limit.is_unlimited() {
        return codes.judge(attempt, now).await.map(LimitedVerdict::Judged);
    }
    if let Some(denial) = limits.reserve(within, now).await? {
        return Ok(LimitedVerdict::Denied(denial));
    }
    let verdict = codes.judge(attempt, now).await;
    if !matches!(verdict, Ok(Verdict::Wrong(_) | Verdict::NoCode)) {
        limits.cancel(within).await.ok(); // it stays counted, to the client's loss for a while
    }
    verdict.map(LimitedVerdict::Judged)
}

async fn at_once(
    client: &RedisClient,
    attempt: &Attempt,
    within: &LimitKey,
    now: Timestamp,
) -> Result<LimitedVerdict, Unavailable> {
    let mut script = JUDGE_WITHIN.prepare_invoke();
    RedisCodes::add_attempt(&mut script, client, attempt, now);
    RedisLimits::add_use(&mut script, client, within, now);
    let (verdict, text): (String, String) = client.invoke(&script).await?;
    if verdict == "denied" {
        let (quota, allowed_at) = parse_quota(&text)?;
        return Ok(LimitedVerdict::Denied(Denial { quota, allowed_at }));
    }
    parse_verdict(&verdict, text).map(LimitedVerdict::Judged)
}
