//! Codes in Redis.

use std::{borrow::Cow, net::IpAddr, sync::LazyLock};

use ::redis::{Script, ScriptInvocation};
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

    fn key(&self, key: &CodeKey) -> String {
        redis_key(&self.client, key)
    }

    /// Adds the key and the argument of judge.lua.
    pub(super) fn add_attempt(
        script: &mut ScriptInvocation<'_>,
        client: &RedisClient,
        attempt: &Attempt,
        now: Timestamp,
    ) {
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
        script.key(redis_key(client, &attempt.key)).arg(arguments.to_string());
    }
}

/// Each step has one key, so a cluster needs no hash tag.
fn redis_key(client: &RedisClient, key: &CodeKey) -> String {
    client.key(&format!("codes:{}:{}", key.purpose.as_str(), key.destination))
}

/// Parses the answer of judge.lua.
pub(super) fn parse_verdict(verdict: &str, text: String) -> Result<Verdict, Unavailable> {
    Ok(match verdict {
        "right" => Verdict::Right,
        "wrong" => Verdict::Wrong(FailedAttempt::from_stored(text)),
        "claimed" => Verdict::Claimed,
        "none" => Verdict::NoCode,
        "tries" => Verdict::NoTries,
        "budget" => {
            let (quota, allowed_at) = parse_quota(&text)?;
            Verdict::NoBudget(quota, allowed_at)
        }
        other => return Err(unexpected(other)),
    })
}

/// Parses `count milliseconds allowed_at`.
pub(super) fn parse_quota(text: &str) -> Result<(Quota, Timestamp), Unavailable> {
    let numbers: Vec<i64> = text.split(' ').map_while(|number| number.parse().ok()).collect();
    let [count, millis, allowed_at] = numbers[..] else { return Err(unexpected(text)) };
    let count = u32::try_from(count).map_err(|_| unexpected(text))?;
    Ok((Quota { count, millis }, Timestamp::from_millis(allowed_at)))
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
        let mut script = JUDGE.prepare_invoke();
        Self::add_attempt(&mut script, &self.client, attempt, now);
        let (verdict, text): (String, String) = self.client.invoke(&script).await?;
        parse_verdict(&verdict, text)
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
