//! Codes in Redis.

use std::{borrow::Cow, net::IpAddr, sync::LazyLock};

use ::redis::Script;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Attempt, CLAIM_MS, Claim, CodeKey, CodeStore, LiveCode, Room, Verdict};
use crate::{
    domain::{DAY_MS, Dependency, FailedAttempt, Quota, Timestamp, Unavailable},
    redis::RedisClient,
};

static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put.lua")));
static JUDGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("judge.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// The codes of a fleet; each step is one script over one hash.
pub struct RedisCodes {
    client: RedisClient,
}

/// A field of the hash.
#[derive(Serialize, Deserialize)]
struct Code<'a> {
    generation: i64,
    #[serde(borrow)]
    mac: Cow<'a, str>,
    with_id: u32,
    without_id: u32,
    expires: i64,
    #[serde(borrow)]
    claim_id: Cow<'a, str>,
    claimed_until: i64,
}

impl RedisCodes {
    /// Codes of this Redis.
    pub fn new(client: RedisClient) -> Self {
        Self { client }
    }

    /// Each step has one key, so a cluster needs no hash tag.
    fn key(&self, key: &CodeKey) -> String {
        self.client.key(&format!("codes:{}:{}", key.purpose.as_str(), key.destination))
    }
}

/// Parses `count milliseconds allowed_at`.
fn parse_budget(text: &str) -> Option<Verdict> {
    let numbers: Vec<i64> = text.split(' ').map_while(|number| number.parse().ok()).collect();
    let [count, millis, allowed_at] = numbers[..] else { return None };
    let quota = Quota { count: u32::try_from(count).ok()?, millis };
    Some(Verdict::NoBudget(quota, Timestamp::from_millis(allowed_at)))
}

fn unexpected(answer: &str) -> Unavailable {
    Unavailable::new(Dependency::Redis, anyhow::anyhow!("judge.lua returned {answer:?}"))
}

fn field(key: &CodeKey) -> String {
    format!("code:{}", key.verification)
}

#[async_trait]
impl CodeStore for RedisCodes {
    async fn put(&self, code: &LiveCode, now: Timestamp) -> Result<bool, Unavailable> {
        let value = json!(Code {
            generation: code.generation,
            mac: code.mac.as_str().into(),
            with_id: code.tries,
            without_id: code.tries,
            expires: code.expires_at.millis(),
            claim_id: "".into(),
            claimed_until: 0,
        });
        let mut script = PUT.key(self.key(&code.key));
        script.arg(field(&code.key)).arg(value.to_string()).arg(now.millis());
        Ok(self.client.invoke::<i64>(&script).await? == 1)
    }

    async fn judge(&self, attempt: &Attempt, now: Timestamp) -> Result<Verdict, Unavailable> {
        let budget: Vec<(u32, i64)> = attempt.budget.iter().map(|quota| (quota.count, quota.millis)).collect();
        let arguments = json!({
            "id": attempt.key.verification,
            "generation": attempt.generation,
            "with_id": attempt.with_id,
            "allows_extra": attempt.allows_extra,
            "macs": attempt.macs,
            "claim_id": attempt.claim_id,
            "claim_ms": CLAIM_MS,
            "known": attempt.known.attempts,
            "since": attempt.known.since.millis(),
            "kept_ms": DAY_MS,
            "budget": budget,
            "now": now.millis(),
        });
        let mut script = JUDGE.key(self.key(&attempt.key));
        script.arg(arguments.to_string());
        let (verdict, text): (String, String) = self.client.invoke(&script).await?;
        Ok(match verdict.as_str() {
            "right" => Verdict::Right,
            "wrong" => Verdict::Wrong(FailedAttempt::from_stored(text)),
            "claimed" => Verdict::Claimed,
            "none" => Verdict::NoCode,
            "tries" => Verdict::NoTries,
            "budget" => parse_budget(&text).ok_or_else(|| unexpected(&text))?,
            other => return Err(unexpected(other)),
        })
    }

    async fn release(&self, claim: &Claim) -> Result<(), Unavailable> {
        let mut script = RELEASE.key(self.key(&claim.key));
        script.arg(field(&claim.key)).arg(&claim.id);
        self.client.invoke::<i64>(&script).await.map(drop)
    }

    async fn tries_left(&self, key: &CodeKey, generation: i64, now: Timestamp) -> Result<u32, Unavailable> {
        let stored: Option<String> = self.client.run(::redis::cmd("HGET").arg(self.key(key)).arg(field(key))).await?;
        let code = stored.as_deref().and_then(|json| serde_json::from_str::<Code<'_>>(json).ok());
        let live = code.filter(|code| code.generation == generation && code.expires > now.millis());
        Ok(live.map_or(0, |code| code.with_id))
    }

    /// Redis has the bound that its operator gave it.
    fn room(&self, _: IpAddr, _: bool, _: Timestamp) -> Room {
        Room::Ample
    }
}
