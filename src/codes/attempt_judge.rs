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
pub struct AttemptJudge {
    codes: Arc<dyn CodeStore>,
    limits: Arc<dyn Limiter>,
    /// The one Redis that has both, so that one script does.
    redis: Option<RedisClient>,
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
    /// A judge over these, which are in the Redis if there is one. A cluster's nodes have keys of their own.
    pub fn new(codes: Arc<dyn CodeStore>, limits: Arc<dyn Limiter>, redis: Option<RedisClient>) -> Self {
        Self { codes, limits, redis: redis.filter(|redis| !redis.is_cluster()) }
    }

    /// Counts the use of the limit and judges the attempt; a use stays counted that was wrong, or met no code.
    pub async fn judge(
        &self,
        attempt: &Attempt,
        within: &LimitKey,
        now: Timestamp,
    ) -> Result<LimitedVerdict, Unavailable> {
        match &self.redis {
            _ if within.limit.is_unlimited() => self.codes.judge(attempt, now).await.map(LimitedVerdict::Judged),
            Some(redis) => at_once(redis, attempt, within, now).await,
            None => self.in_steps(attempt, within, now).await,
        }
    }

    async fn in_steps(
        &self,
        attempt: &Attempt,
        within: &LimitKey,
        now: Timestamp,
    ) -> Result<LimitedVerdict, Unavailable> {
        if let Some(denial) = self.limits.reserve(within, now).await? {
            return Ok(LimitedVerdict::Denied(denial));
        }
        let verdict = self.codes.judge(attempt, now).await;
        if !matches!(verdict, Ok(Verdict::Wrong(_) | Verdict::NoCode)) {
            let (limits, within) = (Arc::clone(&self.limits), within.clone());
            // The answer does not wait for it; if it fails the use stays counted, to the client's loss for a while.
            tokio::spawn(async move { limits.cancel(&within).await });
        }
        verdict.map(LimitedVerdict::Judged)
    }
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
