use std::{sync::Arc, time::Duration};

use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation};

use super::{
    RedisAddress,
    topology::{Connection, Way},
};
use crate::{
    circuit_breaker::Breaker,
    domain::{Part, Unavailable},
};

/// The way to Redis: every call has one deadline, connecting and retries included.
#[derive(Clone)]
pub struct RedisLink {
    way: Arc<Way>,
    timeout: Duration,
    breaker: Arc<Breaker>,
    /// Before every key; tests that share a server differ in it.
    namespace: Arc<str>,
}

impl RedisLink {
    /// Prepares the connection without making it.
    pub fn open(address: &RedisAddress, timeout: Duration, namespace: &str) -> RedisResult<Self> {
        Ok(Self {
            way: Arc::new(Way::new(address, timeout)?),
            timeout,
            breaker: Arc::new(Breaker::new(Part::Redis)),
            namespace: namespace.into(),
        })
    }

    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.namespace)
    }

    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        self.within_time(async |mut connection: Connection| command.query_async(&mut connection).await).await
    }

    /// A script is not tried again after a time-out: it may have run.
    pub async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Unavailable> {
        self.within_time(async |mut connection: Connection| script.invoke_async(&mut connection).await).await
    }

    pub async fn ping(&self) -> Result<(), Unavailable> {
        self.run::<String>(&::redis::cmd("PING")).await.map(drop)
    }

    async fn within_time<T>(&self, call: impl AsyncFnOnce(Connection) -> RedisResult<T>) -> Result<T, Unavailable> {
        self.breaker.check()?;
        let call = async { call(self.way.connection().await?).await };
        let answer = tokio::time::timeout(self.timeout, call).await;
        if !matches!(answer, Ok(Ok(_))) {
            self.way.forget().await;
        }
        match answer {
            Ok(Ok(answer)) => {
                self.breaker.answered();
                Ok(answer)
            }
            Ok(Err(error)) if error.is_timeout() => Err(self.breaker.timed_out()),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(self.breaker.timed_out()),
        }
    }
}

fn refused(error: RedisError) -> Unavailable {
    if matches!(error.kind(), ErrorKind::UnexpectedReturnType) {
        tracing::error!(%error, "redis answered what no script of ours answers");
    }
    Unavailable::new(Part::Redis, error)
}
