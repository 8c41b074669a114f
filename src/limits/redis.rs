use std::sync::LazyLock;

use ::redis::{Script, cmd};
use async_trait::async_trait;

use super::{Counter, Limiter, Taken};
use crate::{
    domain::{Timestamp, Unavailable},
    redis::RedisLink,
};

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// The counters of a fleet.
pub struct RedisLimits {
    link: RedisLink,
}

impl RedisLimits {
    pub fn new(link: RedisLink) -> Self {
        Self { link }
    }

    fn key(&self, name: &str) -> String {
        self.link.key(&format!("limits:{name}"))
    }
}

#[async_trait]
impl Limiter for RedisLimits {
    async fn take(&self, counter: &Counter, now: Timestamp) -> Result<Taken, Unavailable> {
        let mut script = TAKE.key(self.key(&counter.name));
        script.arg(now.millis()).arg(counter.since.millis()).arg(&counter.entry);
        for window in counter.windows.iter() {
            script.arg(window.count).arg(window.millis);
        }
        let answer: Vec<i64> = self.link.invoke(&script).await?;
        Ok(match answer[..] {
            [count, millis, opens] => Taken::Refused {
                count: u32::try_from(count).unwrap_or(u32::MAX),
                window_s: u32::try_from(millis / 1_000).unwrap_or(u32::MAX),
                opens: Timestamp::from_millis(opens),
            },
            _ => Taken::Passed,
        })
    }

    async fn give_back(&self, counter: &Counter) -> Result<(), Unavailable> {
        self.link.run::<i64>(cmd("ZREM").arg(self.key(&counter.name)).arg(&counter.entry)).await.map(drop)
    }

    async fn clear(&self, name: &str) -> Result<(), Unavailable> {
        self.link.run::<i64>(cmd("DEL").arg(self.key(name))).await.map(drop)
    }
}
