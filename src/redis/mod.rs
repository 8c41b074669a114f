//! Clients of Redis, single, cluster or behind sentinels: circuit breaker, time-out, health.

mod client;
mod topology;
mod url;

pub use client::RedisLink;
pub use url::RedisAddress;
