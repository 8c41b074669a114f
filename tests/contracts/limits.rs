use std::sync::Arc;

use enroll::{
    domain::{OsRandom, Random, Timestamp, Windows},
    limits::{Counter, Limiter, MemoryLimits, RedisLimits, Taken},
};

use crate::redis;

fn counter(name: &str, windows: &str, entry: u32) -> Counter {
    Counter {
        name: name.into(),
        windows: Windows::parse(windows).unwrap(),
        since: Timestamp::default(),
        entry: entry.to_string(),
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

pub async fn a_limiter_keeps_its_word(limiter: Arc<dyn Limiter>) {
    let take = async |entry: u32, millis: i64| limiter.take(&counter("a", "2/10", entry), at(millis)).await.unwrap();
    assert_eq!(take(1, 0).await, Taken::Passed);
    assert_eq!(take(2, 0).await, Taken::Passed, "two in one millisecond are two");
    assert_eq!(take(3, 9_999).await, Taken::Refused { count: 2, window_s: 10, opens: at(10_000) });
    assert_eq!(take(4, 10_000).await, Taken::Passed);
    limiter.give_back(&counter("a", "2/10", 4)).await.unwrap();
    assert_eq!(take(5, 10_001).await, Taken::Passed);
    assert_eq!(take(6, 10_001).await, Taken::Passed);
    assert!(matches!(take(7, 10_002).await, Taken::Refused { .. }));
    let lifted = Counter { since: at(10_001), ..counter("a", "2/10", 8) };
    assert_eq!(limiter.take(&lifted, at(10_002)).await.unwrap(), Taken::Passed);
    limiter.clear("a").await.unwrap();
    assert_eq!(take(9, 10_003).await, Taken::Passed);
    assert_eq!(limiter.take(&counter("b", "2/10", 1), at(0)).await.unwrap(), Taken::Passed);
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    a_limiter_keeps_its_word(Arc::new(MemoryLimits::new(10))).await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    a_limiter_keeps_its_word(Arc::new(RedisLimits::new(redis().await))).await;
}

#[tokio::test]
async fn memory_at_its_bound_refuses_rather_than_forgets() {
    let limiter = MemoryLimits::new(1);
    assert_eq!(limiter.take(&counter("a", "1/10", 1), at(0)).await.unwrap(), Taken::Passed);
    assert!(limiter.take(&counter("b", "1/10", 2), at(1)).await.is_err());
    assert!(matches!(limiter.take(&counter("a", "1/10", 3), at(1)).await.unwrap(), Taken::Refused { .. }));
    assert_eq!(limiter.take(&counter("b", "1/10", 4), at(10_000)).await.unwrap(), Taken::Passed);
}

#[tokio::test]
async fn redis_and_memory_answer_alike() {
    let random = &OsRandom as &dyn Random;
    let draw = |bound: u64| i64::try_from(random.below(bound)).unwrap();
    let (memory, redis) = (MemoryLimits::new(100), RedisLimits::new(redis().await));
    let (mut now, mut since) = (0, Timestamp::default());
    for entry in 0..3_000 {
        now += draw(4_000);
        if draw(500) == 0 {
            since = at(now);
        }
        let name = format!("n{}", draw(3));
        let counter = Counter { since, ..counter(&name, "3/10,5/60", entry) };
        match draw(12) {
            0 => {
                let earlier = Counter { entry: draw(i64::from(entry.max(1)).unsigned_abs()).to_string(), ..counter };
                memory.give_back(&earlier).await.unwrap();
                redis.give_back(&earlier).await.unwrap();
            }
            1 if draw(20) == 0 => {
                memory.clear(&name).await.unwrap();
                redis.clear(&name).await.unwrap();
            }
            _ => {
                let taken = memory.take(&counter, at(now)).await.unwrap();
                assert_eq!(taken, redis.take(&counter, at(now)).await.unwrap(), "entry {entry}");
            }
        }
    }
}
