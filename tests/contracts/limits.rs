//! The contract of every limiter.

use std::sync::Arc;

use enroll::{
    domain::{DAY_MS, OsRandom, Quota, Random, RateLimit, Timestamp},
    limits::{Denial, LimitKey, Limiter, MemoryLimits, RedisLimits},
};

use crate::real_redis::redis;

fn key(name: &str, limit: &str, use_id: u32) -> LimitKey {
    LimitKey {
        names: vec![(name.into(), 1)],
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

    let row = async |adds: bool, millis: i64| limiter.in_a_row("r", 3, adds, at(millis)).await.unwrap();
    assert_eq!((row(false, 0).await, row(true, 0).await, row(true, DAY_MS - 1).await), (0, 1, 2));
    let anew = 2 * DAY_MS - 1;
    assert_eq!((row(false, anew - 1).await, row(false, anew).await), (2, 0), "a day without one ends the row");
    for length in 1..=3 {
        assert_eq!(row(true, anew).await, length);
    }
    assert_eq!(row(false, anew + 90 * DAY_MS - 1).await, 3, "a full one stays");
    assert_eq!(row(false, anew + 90 * DAY_MS).await, 0);
    limiter.reset("r").await.unwrap();
    assert_eq!(row(false, anew).await, 0);
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
async fn memory_at_its_bound_refuses_the_crowd_and_forgets_nothing() {
    let limiter = MemoryLimits::new(200);
    let reserve = async |name: &str, use_id: u32| {
        let denial = limiter.reserve(&key(&format!("sends:{name}"), "2/10", use_id), at(0)).await.unwrap();
        denial.is_none()
    };
    assert!(reserve("198.51.100.7", 1).await && reserve("198.51.100.7", 2).await);
    for n in 0..1_000 {
        reserve(&format!("2001:db8:{n:x}::/64"), n + 3).await;
    }
    assert!(!reserve("2001:db8:ffff::/64", 1_003).await, "the crowd is counted as one");
    assert!(!reserve("198.51.100.7", 1_004).await, "what was used stays used");
    assert!(reserve("198.51.100.8", 1_005).await, "others go on");
    assert_eq!(limiter.crowds(), 1);
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
        let names = vec![(format!("{{n}}{name}"), 1), ("{n}all".to_owned(), 2)];
        let key = LimitKey { since, names, ..key("", "3/10,5/60", use_id) };
        match draw(12) {
            0 => {
                let earlier = LimitKey { use_id: draw(i64::from(use_id.max(1)).unsigned_abs()).to_string(), ..key };
                memory.cancel(&earlier).await.unwrap();
                redis.cancel(&earlier).await.unwrap();
            }
            1 if draw(20) == 0 => {
                memory.reset(&format!("{{n}}{name}")).await.unwrap();
                redis.reset(&format!("{{n}}{name}")).await.unwrap();
            }
            _ => {
                let denial = memory.reserve(&key, at(now)).await.unwrap();
                assert_eq!(denial, redis.reserve(&key, at(now)).await.unwrap(), "use {use_id}");
            }
        }
    }
}
