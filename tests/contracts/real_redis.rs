//! The real Redis, under a namespace of each test's own.

use std::time::Duration;

use enroll::redis::{RedisClient, RedisUrl};

pub async fn redis() -> RedisClient {
    let redis = redis_at(&crate::support::backend::redis_url());
    redis.ping().await.expect("Redis answers; `make test` starts one");
    redis
}

pub fn redis_at(url: &str) -> RedisClient {
    let namespace = crate::support::backend::unique("contract") + ":";
    RedisClient::open(&RedisUrl::parse(url).unwrap(), Duration::from_secs(5), &namespace).unwrap()
}
