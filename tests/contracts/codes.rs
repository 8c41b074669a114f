//! The contract of every code store.

use std::{sync::Arc, time::Duration};

use enroll::{
    codes::{Attempt, AttemptJudge, Claim, CodeKey, CodeStore, LimitedVerdict, LiveCode, MemoryCodes, RedisCodes, Room,
        Verdict},
    domain::{DestinationHash, FailedAttempt, FailedAttempts, OsRandom, Purpose, Quota, Random, RateLimit, Timestamp},
    limits::{Denial, LimitKey, Limiter, MemoryLimits, RedisLimits},
    redis::RedisClient,
};
use uuid::Uuid;

use crate::real_redis::redis;

const START: i64 = 1_800_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

fn key(destination: &str, id: u128) -> CodeKey {
    CodeKey {
        destination: DestinationHash::of_key(destination),
        purpose: Purpose::Registration,
        verification: Uuid::from_u128(id),
    }
}

fn code(key: &CodeKey, generation: i64, mac: &str) -> LiveCode {
    LiveCode {
        key: key.clone(),
        generation,
        mac: mac.into(),
        phantom: false,
        asked_from: None,
        tries: 3,
        expires_at: at(300_000),
    }
}

fn attempt(key: &CodeKey, generation: i64, mac: &str) -> Attempt {
    Attempt {
        key: key.clone(),
        generation,
        with_id: true,
        allows_extra: true,
        macs: vec!["under another key".into(), mac.into()],
        claim_id: "mine".into(),
        known: FailedAttempts::default(),
        budget: RateLimit::parse("10/3600,20/86400").unwrap(),
    }
}

pub async fn a_code_store_keeps_the_contract(codes: Arc<dyn CodeStore>) {
    let ann = key("d1", 1);
    let judge = async |attempt: &Attempt, millis: i64| codes.judge(attempt, at(millis)).await.unwrap();
    assert_eq!(judge(&attempt(&ann, 1, "right"), 0).await, Verdict::NoCode);

    // put: older is refused, equal changes nothing, newer replaces.
    assert!(codes.put(&code(&ann, 2, "right"), at(0)).await.unwrap());
    assert!(!codes.put(&code(&ann, 1, "older"), at(0)).await.unwrap());
    assert!(matches!(judge(&attempt(&ann, 2, "wrong"), 0).await, Verdict::Wrong(_)));
    assert!(codes.put(&code(&ann, 2, "other"), at(0)).await.unwrap());
    assert_eq!(codes.tries_left(&ann, 2, at(0)).await.unwrap(), 2);
    assert_eq!(judge(&attempt(&ann, 1, "right"), 0).await, Verdict::NoCode, "another generation is no code");

    // A claim keeps others off for ten seconds, and only its owner can release it.
    assert_eq!(judge(&attempt(&ann, 2, "right"), 0).await, Verdict::Right);
    let other = Attempt { claim_id: "other".into(), ..attempt(&ann, 2, "right") };
    assert_eq!(judge(&other, 9_999).await, Verdict::Claimed);
    codes.release(&Claim { key: ann.clone(), id: "other".into() }).await.unwrap();
    assert_eq!(judge(&other, 9_999).await, Verdict::Claimed);
    codes.release(&Claim { key: ann.clone(), id: "mine".into() }).await.unwrap();
    assert_eq!(judge(&other, 9_999).await, Verdict::Right);
    assert_eq!(judge(&attempt(&ann, 2, "right"), 19_999).await, Verdict::Right, "a claim ends");

    // Tries are apart for who shows the id and who does not, and equal codes of others are untouched.
    let stranger = Attempt { with_id: false, ..attempt(&ann, 2, "wrong") };
    for millis in 0..3 {
        assert!(matches!(judge(&stranger, 20_000 + millis).await, Verdict::Wrong(_)));
    }
    assert_eq!(judge(&Attempt { with_id: false, ..attempt(&ann, 2, "right") }, 20_010).await, Verdict::NoTries);
    assert_eq!(codes.tries_left(&ann, 2, at(20_010)).await.unwrap(), 2);

    // No two attempts have the same millisecond: SQL keeps them as a set.
    let bob = key("d2", 2);
    codes.put(&LiveCode { tries: 50, ..code(&bob, 1, "right") }, at(0)).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..5 {
        match judge(&attempt(&bob, 1, "wrong"), 7).await {
            Verdict::Wrong(wrong) => times.push(wrong.at() - START),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(times, [7, 8, 9, 10, 11]);

    // What SQL knows counts too; then one attempt more with the id, which SQL is told by name.
    let known: Vec<FailedAttempt> = (0..5).map(|n| FailedAttempt::new(START - 1_000 + n, None)).collect();
    let known = FailedAttempts { attempts: known, since: Timestamp::default() };
    let spent = |mac: &str| Attempt { known: known.clone(), ..attempt(&bob, 1, mac) };
    let without_id = Attempt { with_id: false, ..spent("right") };
    let hour = Quota { count: 10, millis: 3_600_000 };
    assert_eq!(judge(&without_id, 20).await, Verdict::NoBudget(hour, at(-1_000 + 3_600_000)));
    let Verdict::Wrong(extra) = judge(&spent("wrong"), 20).await else { panic!("one attempt more") };
    assert!(extra.is_extra_of(bob.verification, 1), "{extra:?}");
    assert!(matches!(judge(&spent("right"), 21).await, Verdict::NoBudget(..)));
    // Lifted: older attempts don't count, in the store neither.
    let lifted = FailedAttempts { since: at(1_000), ..known.clone() };
    assert_eq!(judge(&Attempt { known: lifted, ..attempt(&bob, 1, "right") }, 1_001).await, Verdict::Right);

    // It ends at its expiry.
    assert_eq!(judge(&attempt(&ann, 2, "right"), 300_000).await, Verdict::NoCode);
    assert!(!codes.put(&code(&ann, 2, "right"), at(300_000)).await.unwrap());
    assert_eq!(codes.tries_left(&ann, 2, at(300_000)).await.unwrap(), 0);
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    a_code_store_keeps_the_contract(Arc::new(MemoryCodes::new(10))).await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    a_code_store_keeps_the_contract(Arc::new(RedisCodes::new(redis().await))).await;
}

#[tokio::test]
async fn memory_at_its_bound_refuses_and_evicts_nothing_live() {
    let codes = MemoryCodes::new(2);
    let put =
        async |destination: &str, millis: i64| codes.put(&code(&key(destination, 1), 1, "right"), at(millis)).await;
    assert!(put("a", 0).await.unwrap() && put("b", 0).await.unwrap());
    assert!(put("c", 1).await.is_err());
    assert_eq!(codes.judge(&attempt(&key("a", 1), 1, "right"), at(2)).await.unwrap(), Verdict::Right);
    assert!(
        codes.put(&LiveCode { expires_at: at(900_000), ..code(&key("c", 1), 1, "right") }, at(300_000)).await.unwrap()
    );
}

#[tokio::test]
async fn memory_at_its_bound_gives_up_what_is_nobodys_first() {
    let codes = MemoryCodes::new(100);
    let put = async |n: usize, phantom: bool| {
        let code = LiveCode { phantom, ..code(&key(&n.to_string(), 1), 1, "right") };
        codes.put(&code, at(i64::try_from(n).unwrap())).await
    };
    for n in 0..50 {
        assert!(put(n, false).await.unwrap());
    }
    for n in 50..10_000 {
        assert!(put(n, true).await.unwrap(), "a flood for nobody closes nothing");
    }
    assert!(put(10_000, false).await.unwrap());
    assert_eq!(codes.judge(&attempt(&key("0", 1), 1, "right"), at(10_001)).await.unwrap(), Verdict::Right);
}

/// A hundred thousand real codes asked for from one provider, and nobody's from another.
#[tokio::test]
async fn memory_at_its_bound_has_room_for_who_did_not_fill_it() {
    let codes = MemoryCodes::new(100_000);
    let put = async |n: u32, from: &str, phantom: bool| {
        let asked_from = Some(from.parse().unwrap());
        let code = LiveCode { phantom, asked_from, ..code(&key(&n.to_string(), 1), 1, "right") };
        codes.put(&code, at(0)).await.unwrap()
    };
    let crowd = |n: u32| format!("2001:db8:{:x}:{:x}::1", n / 3, n % 3);
    let room = |from: &str, may_be_phantom: bool, millis: i64| codes.room(from.parse().unwrap(), may_be_phantom, at(millis));
    let [neighbour, other, four] = ["2001:db8:ffff::1", "2001:4db8::1", "192.0.2.7"];

    let mut n = 0;
    while room(neighbour, false, 0) == Room::Ample {
        assert!(put(n, &crowd(n), false).await);
        n += 1;
    }
    assert_eq!((n, room(neighbour, false, 0)), (50_000, Room::Scarce));
    while room(neighbour, false, 0) == Room::Scarce {
        assert_eq!((room(other, true, 0), room(four, true, 0)), (Room::Ample, Room::Ample));
        assert!(put(n, &crowd(n), false).await); // it solves
        n += 1;
    }
    assert_eq!((n, room(neighbour, false, 0)), (75_000, Room::Spent(75_000)));
    assert_eq!((room(other, false, 0), room(four, false, 0)), (Room::Scarce, Room::Scarce), "others solve");
    assert!(put(n, other, false).await && put(n + 1, four, false).await);

    // Codes that end make room.
    assert_eq!((room(neighbour, false, 300_000), room(other, false, 300_000)), (Room::Ample, Room::Ample));
}

#[tokio::test]
async fn nobodys_codes_have_half_of_the_memory() {
    let codes = MemoryCodes::new(100_000);
    let put = async |n: u32, phantom: bool| {
        let asked_from = Some(std::net::IpAddr::V6((u128::from(n % 100 + 1) << 108 | u128::from(n)).into()));
        let code = LiveCode { phantom, asked_from, ..code(&key(&n.to_string(), 1), 1, "right") };
        codes.put(&code, at(0)).await.unwrap()
    };
    let room = |may_be_phantom: bool| codes.room("192.0.2.7".parse().unwrap(), may_be_phantom, at(0));
    for n in 0..37_499 {
        assert!(put(n, true).await);
    }
    assert_eq!((room(true), room(false)), (Room::Ample, Room::Ample), "no crowd");
    assert!(put(37_499, true).await);
    assert_eq!((room(true), room(false)), (Room::Scarce, Room::Ample), "registering writes none of nobody");
    // One that becomes somebody's is nobody's no longer.
    let mine = LiveCode { key: key("0", 2), ..code(&key("0", 2), 1, "right") };
    assert!(codes.put(&mine, at(0)).await.unwrap());
    assert_eq!(room(true), Room::Ample);
}

/// A judge in parallel: as many pass as there are tries, and one right attempt wins.
async fn parallel_attempts_are_counted(codes: Arc<dyn CodeStore>) {
    let ann = key("d1", 1);
    codes.put(&code(&ann, 1, "right"), at(0)).await.unwrap();
    let wrong = futures_util::future::join_all((0..40).map(|_| {
        let (codes, attempt) = (Arc::clone(&codes), attempt(&ann, 1, "wrong"));
        tokio::spawn(async move { codes.judge(&attempt, at(1)).await.unwrap() })
    }));
    let wrong: Vec<Verdict> = wrong.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(wrong.iter().filter(|judged| matches!(judged, Verdict::Wrong(_))).count(), 3);

    codes.put(&code(&ann, 2, "right"), at(0)).await.unwrap();
    let right = futures_util::future::join_all((0..40).map(|n| {
        let codes = Arc::clone(&codes);
        let attempt = Attempt { claim_id: n.to_string(), ..attempt(&ann, 2, "right") };
        tokio::spawn(async move { codes.judge(&attempt, at(1)).await.unwrap() })
    }));
    let right: Vec<Verdict> = right.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(right.iter().filter(|judged| **judged == Verdict::Right).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_counts_parallel_attempts() {
    parallel_attempts_are_counted(Arc::new(MemoryCodes::new(10))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_counts_parallel_attempts() {
    parallel_attempts_are_counted(Arc::new(RedisCodes::new(redis().await))).await;
}

/// The same 10,000 random calls to both, on a moved clock: every answer is the same.
#[tokio::test]
async fn redis_and_memory_answer_alike() {
    let random = &OsRandom as &dyn Random;
    let draw = |bound: u64| i64::try_from(random.below(bound)).unwrap();
    let (memory, redis) = (MemoryCodes::new(1_000), RedisCodes::new(redis().await));
    let mut now = 0;
    let mut known: Vec<Vec<FailedAttempt>> = vec![Vec::new(); 3];
    let (mut verdicts, mut lifted) = (std::collections::HashMap::<String, u32>::new(), Timestamp::default());
    for call in 0..10_000 {
        now += if draw(100) == 0 { draw(3_600_000) } else { draw(2_000) };
        let place = usize::try_from(draw(3)).unwrap();
        let key = key(&format!("d{place}"), u128::try_from(draw(3)).unwrap());
        let generation = 1 + draw(3) + now / 20_000_000;
        let mac = format!("m{}", draw(2));
        match draw(10) {
            0 | 1 => {
                let tries = u32::try_from(1 + draw(5)).unwrap();
                let new = LiveCode { tries, expires_at: at(now + draw(400_000)), ..code(&key, generation, &mac) };
                let answers = (memory.put(&new, at(now)).await.unwrap(), redis.put(&new, at(now)).await.unwrap());
                assert_eq!(answers.0, answers.1, "call {call}: {new:?}");
            }
            2 => {
                let claim = Claim { key, id: format!("k{}", draw(2)) };
                memory.release(&claim).await.unwrap();
                redis.release(&claim).await.unwrap();
            }
            3 => {
                let left = memory.tries_left(&key, generation, at(now)).await.unwrap();
                assert_eq!(left, redis.tries_left(&key, generation, at(now)).await.unwrap(), "call {call}");
            }
            4 if draw(200) == 0 => lifted = at(now),
            _ => {
                // SQL lags behind, or knows more than the store.
                let lag = usize::try_from(draw(3)).unwrap();
                let attempts = known[place].iter().rev().skip(lag).cloned().collect();
                let attempt = Attempt {
                    with_id: draw(2) == 0,
                    claim_id: format!("k{}", draw(2)),
                    known: FailedAttempts { attempts, since: lifted },
                    ..attempt(&key, generation, &mac)
                };
                let judged = memory.judge(&attempt, at(now)).await.unwrap();
                assert_eq!(judged, redis.judge(&attempt, at(now)).await.unwrap(), "call {call}: {attempt:?}");
                let verdict = format!("{judged:?}");
                *verdicts.entry(verdict.split('(').next().unwrap().to_owned()).or_default() += 1;
                if let Verdict::Wrong(wrong) = judged {
                    known[place].push(wrong);
                    known[place].retain(|wrong| wrong.at() > START + now - 86_400_000);
                }
            }
        }
    }
    for verdict in ["Right", "Wrong", "Claimed", "NoCode", "NoTries", "NoBudget"] {
        assert!(verdicts.get(verdict).is_some_and(|count| *count > 0), "{verdict} was never met: {verdicts:?}");
    }
    assert!(Duration::from_millis(now.unsigned_abs()) > Duration::from_hours(24), "the clock moved on: {now}");
}

pub async fn only_wrong_attempts_count_for_the_client(client: RedisClient) {
    let (codes, ann) = (Arc::new(RedisCodes::new(client.clone())), key("d9", 1));
    let judge = AttemptJudge::new(codes.clone(), Arc::new(RedisLimits::new(client.clone())), Some(client));
    codes.put(&code(&ann, 1, "right"), at(0)).await.unwrap();
    let attempts = async |mac: &str, use_id: u32, millis: i64| {
        let within = LimitKey {
            names: vec![("{c}a".into(), 1), ("{c}b".into(), 2)],
            limit: RateLimit::parse("2/10").unwrap(),
            since: Timestamp::default(),
            use_id: use_id.to_string(),
        };
        judge.judge(&attempt(&ann, 1, mac), &within, at(millis)).await.unwrap()
    };
    let right = LimitedVerdict::Judged(Verdict::Right);
    for use_id in 0..3 {
        assert_eq!(attempts("right", use_id, 10_000 * i64::from(use_id)).await, right, "it takes no place");
    }
    for use_id in 3..5 {
        assert!(matches!(attempts("wrong", use_id, 40_000).await, LimitedVerdict::Judged(Verdict::Wrong(_))));
    }
    let quota = Quota { count: 2, millis: 10_000 };
    let denied = LimitedVerdict::Denied(Denial { quota, allowed_at: at(50_000) });
    assert_eq!(attempts("right", 5, 49_999).await, denied);
    assert_eq!(codes.tries_left(&ann, 1, at(49_999)).await.unwrap(), 1, "nothing was judged");
    assert_eq!(attempts("right", 6, 50_000).await, right);
}

#[tokio::test]
async fn redis_counts_only_wrong_attempts_for_the_client() {
    only_wrong_attempts_count_for_the_client(redis().await).await;
}

/// The same 2,000 random attempts of two clients, by one script and in steps: every answer is the same.
#[tokio::test]
async fn an_attempt_is_judged_within_its_clients_limit_alike() {
    let random = &OsRandom as &dyn Random;
    let draw = |bound: u64| i64::try_from(random.below(bound)).unwrap();
    let (codes, client) = (Arc::new(MemoryCodes::new(1_000)), redis().await);
    let in_steps = AttemptJudge::new(codes.clone(), Arc::new(MemoryLimits::new(100)), None);
    let (stored, counted) = (Arc::new(RedisCodes::new(client.clone())), Arc::new(MemoryLimits::new(1)));
    let at_once = AttemptJudge::new(stored.clone(), counted.clone(), Some(client));
    let (mut now, mut verdicts) = (0, std::collections::HashMap::<String, u32>::new());
    for call in 0..2_000 {
        now += draw(4_000);
        let key = key(&format!("d{}", draw(3)), 1);
        if draw(4) == 0 {
            let new = LiveCode { expires_at: at(now + 60_000), ..code(&key, 1 + now / 60_000, "m0") };
            codes.put(&new, at(now)).await.unwrap();
            stored.put(&new, at(now)).await.unwrap();
            continue;
        }
        let mac = format!("m{}", draw(2));
        let attempt = Attempt { claim_id: format!("k{call}"), ..attempt(&key, 1 + now / 60_000, &mac) };
        let within = LimitKey {
            names: vec![(format!("client{}", draw(2)), 1), ("all".into(), 4)],
            limit: if draw(20) == 0 { RateLimit::unlimited() } else { RateLimit::parse("3/20").unwrap() },
            since: Timestamp::default(),
            use_id: call.to_string(),
        };
        let verdict = in_steps.judge(&attempt, &within, at(now)).await.unwrap();
        assert_eq!(verdict, at_once.judge(&attempt, &within, at(now)).await.unwrap(), "call {call}");
        let name = format!("{verdict:?}").replace("Judged(", "");
        *verdicts.entry(name.split(['(', ')']).next().unwrap().to_owned()).or_default() += 1;
    }
    let unused = LimitKey {
        names: vec![("client0".into(), 1)],
        limit: RateLimit::parse("1/86400").unwrap(),
        since: Timestamp::default(),
        use_id: "last".into(),
    };
    assert_eq!(counted.reserve(&unused, at(now)).await.unwrap(), None, "the script counts in Redis, and takes no step");
    for verdict in ["Right", "Wrong", "NoCode", "Claimed", "Denied"] {
        assert!(verdicts.get(verdict).is_some_and(|count| *count > 0), "{verdict} was never met: {verdicts:?}");
    }
}
