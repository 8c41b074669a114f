use std::sync::LazyLock;

use ::redis::Script;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Attempt, Claim, CodeKey, CodeStore, Judged, LiveCode, MARK_MILLIS};
use crate::{
    domain::{DAY_MILLIS, Guess, Part, Timestamp, Unavailable, Window},
    redis::RedisLink,
};

static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put.lua")));
static JUDGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("judge.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// The codes of a fleet; each step is one script over one hash.
pub struct RedisCodes {
    link: RedisLink,
}

/// A field of the hash.
#[derive(Serialize, Deserialize)]
struct Code<'a> {
    issue: i64,
    mac: &'a str,
    with_id: u32,
    without_id: u32,
    expires: i64,
    mark: &'a str,
    marked_until: i64,
}

impl RedisCodes {
    pub fn new(link: RedisLink) -> Self {
        Self { link }
    }

    /// One key a step, so a cluster needs no hash tag.
    fn key(&self, key: &CodeKey) -> String {
        self.link.key(&format!("codes:{}:{}", key.purpose.as_str(), key.destination))
    }
}

/// `count milliseconds opens`
fn read_budget(text: &str) -> Option<Judged> {
    let numbers: Vec<i64> = text.split(' ').map_while(|number| number.parse().ok()).collect();
    let [count, millis, opens] = numbers[..] else { return None };
    Some(Judged::NoBudget(Window { count: u32::try_from(count).ok()?, millis }, Timestamp::from_millis(opens)))
}

fn unexpected(answer: &str) -> Unavailable {
    Unavailable::new(Part::Redis, anyhow::anyhow!("judge.lua answered {answer:?}"))
}

fn field(key: &CodeKey) -> String {
    format!("code:{}", key.verification)
}

#[async_trait]
impl CodeStore for RedisCodes {
    async fn put(&self, code: &LiveCode, now: Timestamp) -> Result<bool, Unavailable> {
        let value = json!(Code {
            issue: code.issue,
            mac: &code.mac,
            with_id: code.tries,
            without_id: code.tries,
            expires: code.expires_at.millis(),
            mark: "",
            marked_until: 0,
        });
        let mut script = PUT.key(self.key(&code.key));
        script.arg(field(&code.key)).arg(value.to_string()).arg(now.millis());
        Ok(self.link.invoke::<i64>(&script).await? == 1)
    }

    async fn judge(&self, attempt: &Attempt, now: Timestamp) -> Result<Judged, Unavailable> {
        let budget: Vec<(u32, i64)> = attempt.budget.iter().map(|window| (window.count, window.millis)).collect();
        let arguments = json!({
            "id": attempt.key.verification,
            "issue": attempt.issue,
            "with_id": attempt.with_id,
            "macs": attempt.macs,
            "mark": attempt.mark,
            "mark_ms": MARK_MILLIS,
            "known": attempt.known.guesses,
            "since": attempt.known.since.millis(),
            "kept": DAY_MILLIS,
            "budget": budget,
            "now": now.millis(),
        });
        let mut script = JUDGE.key(self.key(&attempt.key));
        script.arg(arguments.to_string());
        let (verdict, text): (String, String) = self.link.invoke(&script).await?;
        Ok(match verdict.as_str() {
            "right" => Judged::Right,
            "wrong" => Judged::Wrong(Guess::from_text(text)),
            "busy" => Judged::Busy,
            "none" => Judged::NoCode,
            "tries" => Judged::NoTries,
            "budget" => read_budget(&text).ok_or_else(|| unexpected(&text))?,
            other => return Err(unexpected(other)),
        })
    }

    async fn release(&self, claim: &Claim) -> Result<(), Unavailable> {
        let mut script = RELEASE.key(self.key(&claim.key));
        script.arg(field(&claim.key)).arg(&claim.mark);
        self.link.invoke::<i64>(&script).await.map(drop)
    }

    async fn tries_left(&self, key: &CodeKey, issue: i64, now: Timestamp) -> Result<u32, Unavailable> {
        let kept: Option<String> = self.link.run(::redis::cmd("HGET").arg(self.key(key)).arg(field(key))).await?;
        let code = kept.as_deref().and_then(|json| serde_json::from_str::<Code<'_>>(json).ok());
        let living = code.filter(|code| code.issue == issue && code.expires > now.millis());
        Ok(living.map_or(0, |code| code.with_id))
    }
}
