//! The contract of every limiter.

use std::sync::Arc;

use enroll::{
    domain::{OsRandom, Quota, Random, RateLimit, Timestamp},
    limits::{Denial, LimitKey, Limiter, MemoryLimits, RedisLimits},
};

use crate::real_redis::redis;

fn key(name: &str, limit: &str, use_id: u32) -> LimitKey {
    LimitKey {
        name: name.into(),
        limit: RateLimit::parse(limit).unwrap(),
        since: Timestamp::default(),
        use_id: use_id.to_string(),
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

pub async fn a_limiter_keeps_the_contract(limiter: Arc<dyn Limiter>) {
    let reserve =
        async |use_id: u32, millis: i64| limiter.reserve(&key("a", "2/10", use_id), at(millis)).await.unwrap();
    assert_eq!(reserve(1, 0).await, None);
    assert_eq!(reserve(2, 0).await, None, "two in one millisecond are two");
    let denial = Denial { quota: Quota { count: 2, millis: 10_000 }, allowed_at: at(10_000) };
    assert_eq!(reserve(3, 9_999).await, Some(denial));
    assert_eq!(reserve(4, 10_000).await, None);
    limiter.cancel(&key("a", "2/10", 4)).await.unwrap();
    assert_eq!(reserve(5, 10_001).await, None);
    assert_eq!(reserve(6, 10_001).await, None);
    assert!(reserve(7, 10_002).await.is_some());
    let lifted = LimitKey { since: at(10_001), ..key("a", "2/10", 8) };
    assert_eq!(limiter.reserve(&lifted, at(10_002)).await.unwrap(), None);
    limiter.reset("a").await.unwrap();
    assert_eq!(reserve(9, 10_003).await, None);
    assert_eq!(limiter.reserve(&key("b", "2/10", 1), at(0)).await.unwrap(), None);
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    a_limiter_keeps_the_contract(Arc::new(MemoryLimits::new(10))).await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    a_limiter_keeps_the_contract(Arc::new(RedisLimits::new(redis().await))).await;
}

#[tokio::test]
async fn memory_at_its_bound_refuses_rather_than_forgets() {
    let limiter = MemoryLimits::new(1);
    assert_eq!(limiter.reserve(&key("a", "1/10", 1), at(0)).await.unwrap(), None);
    assert!(limiter.reserve(&key("b", "1/10", 2), at(1)).await.is_err());
    assert!(limiter.reserve(&key("a", "1/10", 3), at(1)).await.unwrap().is_some());
    assert_eq!(limiter.reserve(&key("b", "1/10", 4), at(10_000)).await.unwrap(), None);
}

#[tokio::test]
async fn redis_and_memory_answer_alike() {
    let random = &OsRandom as &dyn Random;
    let draw = |bound: u64| i64::try_from(random.below(bound)).unwrap();
    let (memory, redis) = (MemoryLimits::new(100), RedisLimits::new(redis().await));
    let (mut now, mut since) = (0, Timestamp::default());
    for use_id in 0..3_000 {
        now += draw(4_000);
        if draw(500) == 0 {
            since = at(now);
        }
        let name = format!("n{}", draw(3));
        let key = LimitKey { since, ..key(&name, "3/10,5/60", use_id) };
        match draw(12) {
            0 => {
                let earlier = LimitKey { use_id: draw(i64::from(use_id.max(1)).unsigned_abs()).to_string(), ..key };
                memory.cancel(&earlier).await.unwrap();
                redis.cancel(&earlier).await.unwrap();
            }
            1 if draw(20) == 0 => {
                memory.reset(&name).await.unwrap();
                redis.reset(&name).await.unwrap();
            }
            _ => {
                let denial = memory.reserve(&key, at(now)).await.unwrap();
                assert_eq!(denial, redis.reserve(&key, at(now)).await.unwrap(), "use {use_id}");
            }
        }
    }
}
