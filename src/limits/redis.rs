//! Limits in Redis.

use std::sync::LazyLock;

use ::redis::{Script, ScriptInvocation, cmd};
use async_trait::async_trait;

use super::{CLOSED_FOR, Denial, LimitKey, Limiter};
use crate::{
    domain::{DAY_MS, Quota, Timestamp, Unavailable},
    redis::RedisClient,
};

static RESERVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("reserve.lua")));

static CANCEL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("cancel.lua")));
static IN_A_ROW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("in_a_row.lua")));

/// The counters of a fleet.
pub struct RedisLimits {
    client: RedisClient,
}

impl RedisLimits {
    /// Counters of this Redis.
    pub fn new(client: RedisClient) -> Self {
        Self { client }
    }

    fn key(&self, name: &str) -> String {
        redis_key(&self.client, name)
    }

    /// Adds the keys and the arguments of reserve.lua.
    pub(crate) fn add_use(script: &mut ScriptInvocation<'_>, client: &RedisClient, key: &LimitKey, now: Timestamp) {
        for (name, _) in &key.names {
            script.key(redis_key(client, name));
        }
        script.arg(now.millis()).arg(key.since.millis()).arg(&key.use_id);
        for (_, times) in &key.names {
            script.arg(*times);
        }
        for quota in key.limit.iter() {
            script.arg(quota.count).arg(quota.millis);
        }
    }
}

fn redis_key(client: &RedisClient, name: &str) -> String {
    client.key(&format!("limits:{name}"))
}

#[async_trait]
impl Limiter for RedisLimits {
    async fn reserve(&self, key: &LimitKey, now: Timestamp) -> Result<Option<Denial>, Unavailable> {
        let mut script = RESERVE.prepare_invoke();
        Self::add_use(&mut script, &self.client, key, now);
        let answer: Vec<i64> = self.client.invoke(&script).await?;
        let [count, millis, allowed_at] = answer[..] else { return Ok(None) };
        let quota = Quota { count: u32::try_from(count).unwrap_or(u32::MAX), millis };
        Ok(Some(Denial { quota, allowed_at: Timestamp::from_millis(allowed_at) }))
    }

    async fn cancel(&self, key: &LimitKey) -> Result<(), Unavailable> {
        let mut script = CANCEL.prepare_invoke();
        for (name, _) in &key.names {
            script.key(self.key(name));
        }
        script.arg(&key.use_id);
        self.client.invoke::<i64>(&script).await.map(drop)
    }

    async fn in_a_row(&self, name: &str, most: u32, adds: bool, now: Timestamp) -> Result<u32, Unavailable> {
        let mut script = IN_A_ROW.key(self.key(name));
        script.arg(now.millis()).arg(most).arg(u8::from(adds)).arg(DAY_MS).arg(CLOSED_FOR.as_millis().to_string());
        self.client.invoke(&script).await
    }

    async fn reset(&self, name: &str) -> Result<(), Unavailable> {
        self.client.run::<i64>(cmd("DEL").arg(self.key(name))).await.map(drop)
    }
}
