//! Calls to Redis.

use std::{sync::Arc, time::Duration};

use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation};

use super::{
    RedisUrl,
    topology::{Connection, Topology},
};
use crate::{
    circuit_breaker::CircuitBreaker,
    domain::{Dependency, Unavailable},
};

/// A client of Redis: every call has one deadline, connecting and retries included.
#[derive(Clone)]
pub struct RedisClient {
    topology: Arc<Topology>,
    timeout: Duration,
    breaker: Arc<CircuitBreaker>,
    /// The prefix of every key; tests that share a server differ in it.
    namespace: Arc<str>,
}

impl RedisClient {
    /// Prepares the connection without making it.
    pub fn open(url: &RedisUrl, timeout: Duration, namespace: &str) -> RedisResult<Self> {
        Ok(Self {
            topology: Arc::new(Topology::new(url, timeout)?),
            timeout,
            breaker: Arc::new(CircuitBreaker::new(Dependency::Redis)),
            namespace: namespace.into(),
        })
    }

    /// Whether its keys are on several nodes: then a script's keys must share a hash tag.
    pub fn is_cluster(&self) -> bool {
        self.topology.is_cluster()
    }

    /// Its circuit breaker.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// The name with the namespace before it.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.namespace)
    }

    /// Runs a command.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        self.within_time(async |mut connection: Connection| command.query_async(&mut connection).await).await
    }

    /// Runs a script. It is not retried after a time-out: it may have run.
    pub async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Unavailable> {
        self.within_time(async |mut connection: Connection| script.invoke_async(&mut connection).await).await
    }

    /// Asks for an answer.
    pub async fn ping(&self) -> Result<(), Unavailable> {
        self.run::<String>(&::redis::cmd("PING")).await.map(drop)
    }

    /// Writes a key that soon expires: a full server, or a replica, answers a ping and takes no write.
    pub async fn check_write(&self) -> Result<(), Unavailable> {
        let key = self.key("health");
        self.run::<()>(::redis::cmd("SET").arg(key).arg(1).arg("PX").arg(10_000)).await
    }

    /// The server's `maxmemory-policy`; `None` where it may not be read (managed servers hide it).
    pub async fn eviction_policy(&self) -> Result<Option<String>, Unavailable> {
        let asked = self.run::<Vec<(String, String)>>(::redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy")).await;
        match asked {
            Ok(policy) => Ok(policy.into_iter().map(|(_, policy)| policy).next()),
            Err(_) => self.ping().await.map(|()| None),
        }
    }

    async fn within_time<T>(&self, call: impl AsyncFnOnce(Connection) -> RedisResult<T>) -> Result<T, Unavailable> {
        self.breaker.check()?;
        let mut number = None;
        let call = async {
            let (connection, of) = self.topology.connection().await?;
            number = Some(of);
            call(connection).await
        };
        let answer = tokio::time::timeout(self.timeout, call).await;
        if let (false, Some(number)) = (matches!(answer, Ok(Ok(_))), number) {
            self.topology.discard(number);
        }
        match answer {
            Ok(Ok(answer)) => {
                self.breaker.answered();
                Ok(answer)
            }
            Ok(Err(error)) if !error.is_timeout() => Err(refused(error)),
            Ok(Err(_)) | Err(_) => {
                Err(number.map_or_else(|| self.breaker.timed_out(), |n| self.breaker.timed_out_on(n)))
            }
        }
    }
}

fn refused(error: RedisError) -> Unavailable {
    if matches!(error.kind(), ErrorKind::UnexpectedReturnType) {
        tracing::error!(%error, "Redis gave an unexpected type of answer");
    }
    Unavailable::new(Dependency::Redis, error)
}
