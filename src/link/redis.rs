use std::{sync::Arc, time::Duration};

use ::redis::{
    Client, Cmd, ErrorKind, FromRedisValue, RedisError, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::Breaker;
use crate::domain::{Part, Unavailable};

/// The way to Redis: every call has one deadline, connecting and retries included.
#[derive(Clone)]
pub struct RedisLink {
    connection: ConnectionManager,
    timeout: Duration,
    breaker: Arc<Breaker>,
    /// Before every key; tests that share a server differ in it.
    namespace: Arc<str>,
}

impl RedisLink {
    /// Prepares the connection without making it.
    pub fn open(url: &str, timeout: Duration, namespace: &str) -> Result<Self, RedisError> {
        // RESP3 notices a lost connection at once; under RESP2 the next call would be its victim.
        let resp3 = if url.contains("protocol=") {
            url.to_owned()
        } else {
            format!("{url}{}protocol=resp3", if url.contains('?') { '&' } else { '?' })
        };
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(timeout))
            .set_connection_timeout(Some(timeout))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(200))
            .set_pipeline_buffer_size(1024);
        let connection = ConnectionManager::new_lazy_with_config(Client::open(resp3)?, config)?;
        Ok(Self { connection, timeout, breaker: Arc::new(Breaker::new(Part::Redis)), namespace: namespace.into() })
    }

    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.namespace)
    }

    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        let mut connection = self.connection.clone();
        self.within_time(command.query_async(&mut connection)).await
    }

    /// A script is not tried again after a time-out: it may have run.
    pub async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Unavailable> {
        let mut connection = self.connection.clone();
        self.within_time(script.invoke_async(&mut connection)).await
    }

    pub async fn ping(&self) -> Result<(), Unavailable> {
        self.run::<String>(&::redis::cmd("PING")).await.map(drop)
    }

    async fn within_time<T>(&self, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, Unavailable> {
        self.breaker.check()?;
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(answer)) => {
                self.breaker.answered();
                Ok(answer)
            }
            Ok(Err(error)) if error.is_timeout() => Err(self.breaker.timed_out()),
            Ok(Err(error)) => {
                if matches!(error.kind(), ErrorKind::UnexpectedReturnType) {
                    tracing::error!(%error, "redis answered what no script of ours answers");
                }
                Err(Unavailable::new(Part::Redis, error))
            }
            Err(_) => Err(self.breaker.timed_out()),
        }
    }
}
