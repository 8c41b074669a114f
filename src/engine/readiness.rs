//! Whether this node should get requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    circuit_breaker::CircuitBreaker,
    domain::{Clock, Dependency},
    metrics,
    redis::RedisClient,
    store::Store,
};

/// Whether this node should get requests; `/readyz` shows it.
#[derive(Clone)]
pub struct Readiness {
    store: Store,
    redis: Option<RedisClient>,
    clock: Arc<dyn Clock>,
    skew_ms: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
}

/// A dependency counts as down after so long: a blip takes no node out of service.
const DOWN_AFTER: Duration = Duration::from_secs(1);
const SKEW_WARNS_MS: u64 = 2_000;
const SKEW_STOPS_MS: u64 = 10_000;

impl Readiness {
    /// The readiness of a node with these dependencies.
    pub fn new(store: Store, redis: Option<RedisClient>, clock: Arc<dyn Clock>) -> Self {
        Self { store, redis, clock, skew_ms: Arc::default(), stopping: Arc::default() }
    }

    /// The dependencies that have been down for a second, and `clock` or `stopping`.
    pub fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> = self.down().iter().map(ToString::to_string).collect();
        // A clock so far from the database's would judge expiry wrongly.
        missing.extend((self.skew_ms.load(Ordering::Relaxed) > SKEW_STOPS_MS).then(|| "clock".to_owned()));
        missing.extend(self.stopping.load(Ordering::Relaxed).then(|| "stopping".to_owned()));
        missing
    }

    /// Announces that the node is going to stop.
    pub fn stop_soon(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn down(&self) -> Vec<Dependency> {
        let redis = self.redis.as_ref().map(RedisClient::breaker);
        let breakers = std::iter::once(self.store.breaker()).chain(redis);
        breakers.filter(|breaker| breaker.down_for() >= DOWN_AFTER).map(CircuitBreaker::dependency).collect()
    }

    /// Checks once whether all dependencies do what requests need: a write.
    pub async fn check_dependencies(&self) {
        let sql = async {
            let is_writable = self.store.takes_writes(self.clock.now()).await.unwrap_or(false);
            self.store.breaker().observe(is_writable);
            metrics::dependency(Dependency::Sql.to_string(), is_writable);
        };
        let redis = async {
            if let Some(redis) = &self.redis {
                let is_up = redis.check_write().await.is_ok();
                redis.breaker().observe(is_up);
                metrics::dependency(Dependency::Redis.to_string(), is_up);
            }
        };
        tokio::join!(sql, redis);
    }

    /// Compares this node's clock with the database's.
    pub async fn check_clock(&self) {
        let Ok(mut connection) = self.store.read().await else { return };
        let before = self.clock.now();
        let Ok(theirs) = connection.now().await else { return };
        // The clock of SQLite is that of this machine, in whole seconds.
        let skew = if self.store.is_embedded() {
            Duration::ZERO
        } else {
            before.after(theirs).max(theirs.after(self.clock.now()))
        };
        let skew_ms = u64::try_from(skew.as_millis()).unwrap_or(u64::MAX);
        if skew_ms > SKEW_WARNS_MS {
            tracing::warn!(skew_ms, "this node's clock differs from the database's");
        }
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }
}
