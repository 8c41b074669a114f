//! What every part across the network shares: a breaker, a time-out, and word of its health.

mod breaker;
mod redis;

pub use breaker::Breaker;
pub use redis::RedisLink;
