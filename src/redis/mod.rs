//! The client of Redis, single, cluster or behind sentinels: deadline, circuit breaker, health.

mod client;
mod topology;
mod url;

pub use client::RedisClient;
pub use url::RedisUrl;
