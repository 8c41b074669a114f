//! Kept answers in Redis.

use std::sync::LazyLock;

use ::redis::Script;
use async_trait::async_trait;

use super::{AnswerStore, Begun, KEPT, KeyedRequest, RUNNING};
use crate::{
    domain::{Dependency, Timestamp, Unavailable},
    redis::RedisClient,
};

static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("begin.lua")));
static END: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("end.lua")));

/// The answers of a fleet.
pub struct RedisAnswers {
    client: RedisClient,
}

impl RedisAnswers {
    /// Answers of this Redis.
    pub fn new(client: RedisClient) -> Self {
        Self { client }
    }

    fn key(&self, request: &KeyedRequest) -> String {
        self.client.key(&format!("answers:{}", request.name))
    }
}

#[async_trait]
impl AnswerStore for RedisAnswers {
    async fn begin(&self, request: &KeyedRequest, now: Timestamp) -> Result<Begun, Unavailable> {
        let mut script = BEGIN.key(self.key(request));
        script.arg(&request.fingerprint).arg(&request.id).arg(now.millis()).arg(now.plus(RUNNING).millis());
        let (begun, answer): (String, Vec<u8>) = self.client.invoke(&script).await?;
        Ok(match begun.as_str() {
            "new" => Begun::New,
            "running" => Begun::Running,
            "another" => Begun::AnotherBody,
            "answered" => Begun::Answered(answer),
            other => {
                let cause = anyhow::anyhow!("begin.lua returned {other:?}");
                return Err(Unavailable::new(Dependency::Redis, cause));
            }
        })
    }

    async fn end(&self, request: &KeyedRequest, answer: Option<&[u8]>, now: Timestamp) -> Result<(), Unavailable> {
        let mut script = END.key(self.key(request));
        script.arg(&request.id).arg(now.millis()).arg(now.plus(KEPT).millis()).arg(answer.unwrap_or_default());
        self.client.invoke::<i64>(&script).await.map(drop)
    }
}
