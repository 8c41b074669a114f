use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    domain::{Clock, Part},
    link::{Breaker, RedisLink},
    store::Store,
};

/// What is known of the parts; `/readyz` tells it.
#[derive(Clone)]
pub struct Health {
    store: Store,
    redis: Option<RedisLink>,
    clock: Arc<dyn Clock>,
    skew: watch::Sender<Duration>,
}

/// Looks at every part, twice a second.
pub struct HealthLoop(pub Health);

const EVERY: Duration = Duration::from_millis(500);
/// A part is down once it has been for so long: a blip takes no node away.
const PATIENCE: Duration = Duration::from_secs(2);
const CLOCK_EVERY: u32 = 120;
const SKEW_WARNS: Duration = Duration::from_secs(2);
const SKEW_STOPS: Duration = Duration::from_secs(10);

impl Health {
    pub fn new(store: Store, redis: Option<RedisLink>, clock: Arc<dyn Clock>) -> Self {
        Self { store, redis, clock, skew: watch::Sender::new(Duration::ZERO) }
    }

    /// The parts that have been down for two seconds.
    pub fn down(&self) -> Vec<Part> {
        let redis = self.redis.as_ref().map(RedisLink::breaker);
        let breakers = std::iter::once(self.store.breaker()).chain(redis);
        breakers.filter(|breaker| breaker.down_for() >= PATIENCE).map(Breaker::part).collect()
    }

    /// This node's clock is so far from the database's that expiry would be wrong.
    pub fn clock_is_off(&self) -> bool {
        *self.skew.borrow() > SKEW_STOPS
    }

    /// Looks at all parts once.
    pub async fn look(&self) {
        let sql = async {
            let answer = match self.store.read().await {
                Ok(mut connection) => connection.now().await.map(drop),
                Err(error) => Err(error),
            };
            self.store.breaker().observe(answer.is_ok());
        };
        let redis = async {
            if let Some(redis) = &self.redis {
                redis.breaker().observe(redis.ping().await.is_ok());
            }
        };
        tokio::join!(sql, redis);
    }

    /// Compares this node's clock with the database's.
    pub async fn compare_clocks(&self) {
        let Ok(mut connection) = self.store.read().await else { return };
        let before = self.clock.now();
        let Ok(theirs) = connection.now().await else { return };
        // SQLite's is of this machine, and of whole seconds.
        let skew = if self.store.is_embedded() {
            Duration::ZERO
        } else {
            before.after(theirs).max(theirs.after(self.clock.now()))
        };
        if skew > SKEW_WARNS {
            tracing::warn!(skew_ms = skew.as_millis(), "this node's clock differs from the database's");
        }
        self.skew.send_replace(skew);
    }
}

impl HealthLoop {
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        for round in 0_u32.. {
            if *stop.borrow() {
                return;
            }
            if round % CLOCK_EVERY == 0 {
                self.0.compare_clocks().await;
            }
            self.0.look().await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }
}
