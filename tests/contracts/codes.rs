use std::{sync::Arc, time::Duration};

use enroll::{
    codes::{Attempt, Claim, CodeKey, CodeStore, Judged, LiveCode, MemoryCodes, RedisCodes},
    domain::{Guess, GuessHistory, OsRandom, Purpose, Random, Timestamp, Window, Windows},
};
use uuid::Uuid;

use crate::redis;

const START: i64 = 1_800_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

fn key(destination: &str, id: u128) -> CodeKey {
    CodeKey { destination: destination.into(), purpose: Purpose::Registration, verification: Uuid::from_u128(id) }
}

fn code(key: &CodeKey, issue: i64, mac: &str) -> LiveCode {
    LiveCode { key: key.clone(), issue, mac: mac.into(), tries: 3, expires_at: at(300_000) }
}

fn attempt(key: &CodeKey, issue: i64, mac: &str) -> Attempt {
    Attempt {
        key: key.clone(),
        issue,
        with_id: true,
        macs: vec!["under another key".into(), mac.into()],
        mark: "mine".into(),
        known: GuessHistory::default(),
        budget: Windows::parse("10/3600,20/86400").unwrap(),
    }
}

pub async fn a_code_store_keeps_its_word(codes: Arc<dyn CodeStore>) {
    let ann = key("d1", 1);
    let judge = async |attempt: &Attempt, millis: i64| codes.judge(attempt, at(millis)).await.unwrap();
    assert_eq!(judge(&attempt(&ann, 1, "right"), 0).await, Judged::NoCode);

    // put: older is refused, equal changes nothing, newer replaces.
    assert!(codes.put(&code(&ann, 2, "right"), at(0)).await.unwrap());
    assert!(!codes.put(&code(&ann, 1, "older"), at(0)).await.unwrap());
    assert!(matches!(judge(&attempt(&ann, 2, "wrong"), 0).await, Judged::Wrong(_)));
    assert!(codes.put(&code(&ann, 2, "other"), at(0)).await.unwrap());
    assert_eq!(codes.tries_left(&ann, 2, at(0)).await.unwrap(), 2);
    assert_eq!(judge(&attempt(&ann, 1, "right"), 0).await, Judged::NoCode, "another issue is no code");

    // A mark keeps others off for ten seconds, and only its owner takes it off.
    assert_eq!(judge(&attempt(&ann, 2, "right"), 0).await, Judged::Right);
    let other = Attempt { mark: "other".into(), ..attempt(&ann, 2, "right") };
    assert_eq!(judge(&other, 9_999).await, Judged::Busy);
    codes.release(&Claim { key: ann.clone(), mark: "other".into() }).await.unwrap();
    assert_eq!(judge(&other, 9_999).await, Judged::Busy);
    codes.release(&Claim { key: ann.clone(), mark: "mine".into() }).await.unwrap();
    assert_eq!(judge(&other, 9_999).await, Judged::Right);
    assert_eq!(judge(&attempt(&ann, 2, "right"), 19_999).await, Judged::Right, "a mark lapses");

    // Tries are apart for who shows the id and who does not, and equal codes of others are untouched.
    let stranger = Attempt { with_id: false, ..attempt(&ann, 2, "wrong") };
    for millis in 0..3 {
        assert!(matches!(judge(&stranger, 20_000 + millis).await, Judged::Wrong(_)));
    }
    assert_eq!(judge(&Attempt { with_id: false, ..attempt(&ann, 2, "right") }, 20_010).await, Judged::NoTries);
    assert_eq!(codes.tries_left(&ann, 2, at(20_010)).await.unwrap(), 2);

    // No two guesses have the same millisecond: SQL keeps them as a set.
    let bob = key("d2", 2);
    codes.put(&LiveCode { tries: 50, ..code(&bob, 1, "right") }, at(0)).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..5 {
        match judge(&attempt(&bob, 1, "wrong"), 7).await {
            Judged::Wrong(guess) => times.push(guess.at() - START),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(times, [7, 8, 9, 10, 11]);

    // What SQL knows counts too; then one guess more with the id, which SQL is told by name.
    let known: Vec<Guess> = (0..5).map(|n| Guess::new(START - 1_000 + n, None)).collect();
    let known = GuessHistory { guesses: known, since: Timestamp::default() };
    let spent = |mac: &str| Attempt { known: known.clone(), ..attempt(&bob, 1, mac) };
    let without_id = Attempt { with_id: false, ..spent("right") };
    let hour = Window { count: 10, millis: 3_600_000 };
    assert_eq!(judge(&without_id, 20).await, Judged::NoBudget(hour, at(-1_000 + 3_600_000)));
    let Judged::Wrong(extra) = judge(&spent("wrong"), 20).await else { panic!("one guess more") };
    assert!(extra.is_extra_of(bob.verification, 1), "{extra:?}");
    assert!(matches!(judge(&spent("right"), 21).await, Judged::NoBudget(..)));
    // Lifted: older guesses don't count, in the store neither.
    let lifted = GuessHistory { since: at(1_000), ..known.clone() };
    assert_eq!(judge(&Attempt { known: lifted, ..attempt(&bob, 1, "right") }, 1_001).await, Judged::Right);

    // It ends at its expiry.
    assert_eq!(judge(&attempt(&ann, 2, "right"), 300_000).await, Judged::NoCode);
    assert!(!codes.put(&code(&ann, 2, "right"), at(300_000)).await.unwrap());
    assert_eq!(codes.tries_left(&ann, 2, at(300_000)).await.unwrap(), 0);
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    a_code_store_keeps_its_word(Arc::new(MemoryCodes::new(10))).await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    a_code_store_keeps_its_word(Arc::new(RedisCodes::new(redis().await))).await;
}

#[tokio::test]
async fn memory_at_its_bound_refuses_and_evicts_nothing_live() {
    let codes = MemoryCodes::new(2);
    let put =
        async |destination: &str, millis: i64| codes.put(&code(&key(destination, 1), 1, "right"), at(millis)).await;
    assert!(put("a", 0).await.unwrap() && put("b", 0).await.unwrap());
    assert!(put("c", 1).await.is_err());
    assert_eq!(codes.judge(&attempt(&key("a", 1), 1, "right"), at(2)).await.unwrap(), Judged::Right);
    assert!(
        codes.put(&LiveCode { expires_at: at(900_000), ..code(&key("c", 1), 1, "right") }, at(300_000)).await.unwrap()
    );
}

/// A judge in parallel: as many pass as there are tries, and one right guess wins.
async fn parallel_guesses_are_counted(codes: Arc<dyn CodeStore>) {
    let ann = key("d1", 1);
    codes.put(&code(&ann, 1, "right"), at(0)).await.unwrap();
    let wrong = futures_util::future::join_all((0..40).map(|_| {
        let (codes, attempt) = (Arc::clone(&codes), attempt(&ann, 1, "wrong"));
        tokio::spawn(async move { codes.judge(&attempt, at(1)).await.unwrap() })
    }));
    let wrong: Vec<Judged> = wrong.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(wrong.iter().filter(|judged| matches!(judged, Judged::Wrong(_))).count(), 3);

    codes.put(&code(&ann, 2, "right"), at(0)).await.unwrap();
    let right = futures_util::future::join_all((0..40).map(|n| {
        let codes = Arc::clone(&codes);
        let attempt = Attempt { mark: n.to_string(), ..attempt(&ann, 2, "right") };
        tokio::spawn(async move { codes.judge(&attempt, at(1)).await.unwrap() })
    }));
    let right: Vec<Judged> = right.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(right.iter().filter(|judged| **judged == Judged::Right).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_counts_parallel_guesses() {
    parallel_guesses_are_counted(Arc::new(MemoryCodes::new(10))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_counts_parallel_guesses() {
    parallel_guesses_are_counted(Arc::new(RedisCodes::new(redis().await))).await;
}

/// The same 10,000 random calls to both, on a moved clock: every answer is the same.
#[tokio::test]
async fn redis_and_memory_answer_alike() {
    let random = &OsRandom as &dyn Random;
    let draw = |bound: u64| i64::try_from(random.below(bound)).unwrap();
    let (memory, redis) = (MemoryCodes::new(1_000), RedisCodes::new(redis().await));
    let mut now = 0;
    let mut known: Vec<Vec<Guess>> = vec![Vec::new(); 3];
    let (mut verdicts, mut lifted) = (std::collections::HashMap::<String, u32>::new(), Timestamp::default());
    for call in 0..10_000 {
        now += if draw(100) == 0 { draw(3_600_000) } else { draw(2_000) };
        let place = usize::try_from(draw(3)).unwrap();
        let key = key(&format!("d{place}"), u128::try_from(draw(3)).unwrap());
        let issue = 1 + draw(3) + now / 20_000_000;
        let mac = format!("m{}", draw(2));
        match draw(10) {
            0 | 1 => {
                let tries = u32::try_from(1 + draw(5)).unwrap();
                let new = LiveCode { tries, expires_at: at(now + draw(400_000)), ..code(&key, issue, &mac) };
                let answers = (memory.put(&new, at(now)).await.unwrap(), redis.put(&new, at(now)).await.unwrap());
                assert_eq!(answers.0, answers.1, "call {call}: {new:?}");
            }
            2 => {
                let claim = Claim { key, mark: format!("k{}", draw(2)) };
                memory.release(&claim).await.unwrap();
                redis.release(&claim).await.unwrap();
            }
            3 => {
                let left = memory.tries_left(&key, issue, at(now)).await.unwrap();
                assert_eq!(left, redis.tries_left(&key, issue, at(now)).await.unwrap(), "call {call}");
            }
            4 if draw(200) == 0 => lifted = at(now),
            _ => {
                // SQL lags behind, or knows more than the store.
                let lag = usize::try_from(draw(3)).unwrap();
                let guesses = known[place].iter().rev().skip(lag).cloned().collect();
                let attempt = Attempt {
                    with_id: draw(2) == 0,
                    mark: format!("k{}", draw(2)),
                    known: GuessHistory { guesses, since: lifted },
                    ..attempt(&key, issue, &mac)
                };
                let judged = memory.judge(&attempt, at(now)).await.unwrap();
                assert_eq!(judged, redis.judge(&attempt, at(now)).await.unwrap(), "call {call}: {attempt:?}");
                let verdict = format!("{judged:?}");
                *verdicts.entry(verdict.split('(').next().unwrap().to_owned()).or_default() += 1;
                if let Judged::Wrong(guess) = judged {
                    known[place].push(guess);
                    known[place].retain(|guess| guess.at() > START + now - 86_400_000);
                }
            }
        }
    }
    for verdict in ["Right", "Wrong", "Busy", "NoCode", "NoTries", "NoBudget"] {
        assert!(verdicts.get(verdict).is_some_and(|count| *count > 0), "{verdict} was never met: {verdicts:?}");
    }
    assert!(Duration::from_millis(now.unsigned_abs()) > Duration::from_hours(24), "the clock moved on: {now}");
}
