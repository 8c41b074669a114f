//! What every part across the network shares: a breaker, a time-out, and word of its health.

mod address;
mod breaker;
mod redis;
mod way;

pub use address::RedisAddress;
pub use breaker::Breaker;
pub use redis::RedisLink;
