//! Hostile arguments: for the same names, texts and numbers, however odd, memory and Redis answer alike.

use std::fmt::Debug;

use enroll::{
    codes::{
        AnswerStore, Attempt, Claim, CodeKey, CodeStore, KeyedRequest, LiveCode, MemoryAnswers, MemoryCodes, RUNNING,
        RedisAnswers, RedisCodes,
    },
    domain::{DestinationHash, FailedAttempt, FailedAttempts, Purpose, RateLimit, Timestamp, Unavailable},
    limits::{LimitKey, Limiter, MemoryLimits, RedisLimits},
    redis::RedisClient,
};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use uuid::Uuid;

use crate::real_redis::redis;

/// Microseconds: the year 2027, for Redis drops what ended by its own clock.
const START: i64 = 1_800_000_000_000_000;
const MILLISECOND: i64 = 1_000;
/// The most digits that Redis' Lua keeps of a number.
const LARGEST: i64 = 99_999_999_999_999;

const ODD: &[&str] = &[
    "", " ", "\0", "a\0b", "\"", "\\", "/", "{}", "{a}b", "[]", "null", "nil", "%d%s", "%", "*", ":", "a:b", "code:", "attempts",
    "0", "-1", "1e309", "NaN", "\r\n", "\u{7f}", "\u{2028}", "\u{202e}", "\u{feff}", "\u{fffd}", "\u{10ffff}", "पासवर्ड", "🔒",
    "answer", "true", "false", "return 1", "' .. redis.call('FLUSHALL') .. '",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(ODD).prop_map(str::to_owned),
        2 => "\\PC{0,12}",
        2 => prop::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter),
        1 => (1_000..20_000_usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn step_of_time() -> impl Strategy<Value = i64> {
    let millis = select(vec![0, 0, 0, 1, 999, 9_999, 10_000, 29_999, 30_000, 3_600_000, 86_400_000, -5_000]);
    (millis, select(vec![0, 1, 999])).prop_map(|(millis, micros)| millis * MILLISECOND + micros)
}

/// Runs sequences of steps, each a while after the one before.
fn run<Step: Debug + Clone>(
    step: impl Strategy<Value = Step>,
    check: impl AsyncFn(RedisClient, Vec<(Timestamp, Step)>) -> TestCaseResult,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let steps = prop::collection::vec((step_of_time(), step), 1..40);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        let mut now = START;
        let timed = steps.into_iter().map(|(passed, step)| {
            now += passed;
            (Timestamp::from_micros(now), step)
        });
        let timed = timed.collect();
        runtime.block_on(async { check(redis().await, timed).await })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn alike<T: Debug + PartialEq>(memory: Result<T, Unavailable>, redis: Result<T, Unavailable>) -> Result<T, TestCaseError> {
    let (memory, redis) = (memory.map_err(|error| error.to_string()), redis.map_err(|error| format!("{error:?}")));
    prop_assert_eq!(&memory, &redis);
    memory.map_err(TestCaseError::fail)
}

#[derive(Debug, Clone)]
enum CodeStep {
    Put { code: (usize, i64, String), tries: u32, lives: i64 },
    Judge { code: (usize, i64, String), with_id: bool, claim: String, known: Vec<Known>, lifted: bool, budget: &'static str },
    Release { code: usize, claim: String },
    TriesLeft { code: usize, generation: i64 },
}

/// A failed attempt that SQL may have: by its age, of a code, or a text that no version ever wrote.
#[derive(Debug, Clone)]
enum Known {
    Ago(i64),
    ExtraOf(i64, usize, i64),
    Odd(String),
}

fn generation() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1..3_i64, 1 => select(vec![0, -1, LARGEST, -LARGEST])]
}

/// Few, so that they meet.
fn mac() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(vec!["", "a/b", "\0", "मैक"]).prop_map(str::to_owned), 1 => text()]
}

fn known() -> impl Strategy<Value = Known> {
    let ago = || select(vec![0, 1, 2, 5_000, 3_599_999, 3_600_000, 86_400_000, -60_000]);
    prop_oneof![
        4 => ago().prop_map(Known::Ago),
        2 => (ago(), 0..2_usize, generation()).prop_map(|(ago, code, generation)| Known::ExtraOf(ago, code, generation)),
        1 => text().prop_map(Known::Odd),
        1 => select(vec!["9".repeat(15), "9".repeat(16), "9".repeat(400), "1:2:3".into(), "+5".into(), "1\0".into()]).prop_map(Known::Odd),
    ]
}

fn code_step() -> impl Strategy<Value = CodeStep> {
    let code = || (0..2_usize, generation(), mac());
    let tries = select(vec![0, 1, 2, 3, u32::MAX]);
    let lives = select(vec![-50_000, 0, 1, 60_000, 300_000, 3_000_000_000_000]);
    let budget = select(vec!["1/1", "1/86400", "2/10", "10/3600,20/86400", "10000/86400"]);
    let claim = || select(vec!["", "mine", "a/b", "\0"]).prop_map(str::to_owned);
    prop_oneof![
        3 => (code(), tries, lives).prop_map(|(code, tries, lives)| CodeStep::Put { code, tries, lives }),
        6 => (code(), any::<bool>(), claim(), prop::collection::vec(known(), 0..6), prop::bool::weighted(0.1), budget)
            .prop_map(|(code, with_id, claim, known, lifted, budget)| CodeStep::Judge { code, with_id, claim, known, lifted, budget }),
        1 => (0..2_usize, claim()).prop_map(|(code, claim)| CodeStep::Release { code, claim }),
        1 => (0..2_usize, generation()).prop_map(|(code, generation)| CodeStep::TriesLeft { code, generation }),
    ]
}

fn code_key(code: usize) -> CodeKey {
    let verification = Uuid::from_u128(code as u128);
    CodeKey { destination: DestinationHash::of_key("\0"), purpose: Purpose::Login, verification }
}

impl Known {
    fn attempt(&self, now: Timestamp) -> FailedAttempt {
        match self {
            Self::Ago(ago) => FailedAttempt::new(now.millis() - ago, None),
            Self::ExtraOf(ago, code, generation) => {
                FailedAttempt::new(now.millis() - ago, Some((code_key(*code).verification, *generation)))
            }
            Self::Odd(text) => FailedAttempt::from_stored(text.clone()),
        }
    }
}

#[test]
fn code_stores_judge_odd_attempts_alike() {
    run(code_step(), async |client, steps| {
        let (memory, redis) = (MemoryCodes::new(100), RedisCodes::new(client));
        for (now, step) in steps {
            match step {
                CodeStep::Put { code: (code, generation, mac), tries, lives } => {
                    let expires_at = Timestamp::from_millis(now.millis() + lives);
                    let code = LiveCode {
                        key: code_key(code),
                        generation,
                        mac,
                        phantom: false,
                        asked_from: None,
                        tries,
                        expires_at,
                    };
                    alike(memory.put(&code, now).await, redis.put(&code, now).await)?;
                }
                CodeStep::Judge { code: (code, generation, mac), with_id, claim, known, lifted, budget } => {
                    let attempts = known.iter().map(|known| known.attempt(now)).collect();
                    let since = if lifted { now } else { Timestamp::default() };
                    let attempt = Attempt {
                        key: code_key(code),
                        generation,
                        allows_extra: true,
                        with_id,
                        macs: vec![mac],
                        claim_id: claim,
                        known: FailedAttempts { attempts, since },
                        budget: RateLimit::parse(budget).unwrap(),
                    };
                    alike(memory.judge(&attempt, now).await, redis.judge(&attempt, now).await)?;
                }
                CodeStep::Release { code, claim } => {
                    let claim = Claim { key: code_key(code), id: claim };
                    alike(memory.release(&claim).await, redis.release(&claim).await)?;
                }
                CodeStep::TriesLeft { code, generation } => {
                    let (key, generation) = (code_key(code), generation);
                    alike(memory.tries_left(&key, generation, now).await, redis.tries_left(&key, generation, now).await)?;
                }
            }
        }
        Ok(())
    });
}

#[derive(Debug, Clone)]
enum LimitStep {
    Reserve { names: Vec<(String, u32)>, limit: &'static str, lifted: bool, use_id: String },
    Cancel { which: prop::sample::Index },
    InARow { name: String, most: u32, adds: bool },
    Reset { name: String },
}

/// Few, so that they meet; names of rows and of uses have a policy before them, and are never the same.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(vec!["", "\0", "{n}", "{}"]).prop_map(str::to_owned), 1 => text()]
}

fn limit_step() -> impl Strategy<Value = LimitStep> {
    let names = prop::collection::btree_map(name(), select(vec![1, 2, 4, 16, u32::MAX]), 1..4);
    let names = names.prop_map(|names| names.into_iter().map(|(name, times)| (format!("use:{name}"), times)).collect());
    let limit = select(vec!["1/1", "2/10", "3/10,5/60", "1/86400,1/1", "10000/86400"]);
    let most = select(vec![0, 1, 2, 3, u32::MAX]);
    prop_oneof![
        6 => (names, limit, prop::bool::weighted(0.1), text())
            .prop_map(|(names, limit, lifted, use_id)| LimitStep::Reserve { names, limit, lifted, use_id }),
        1 => any::<prop::sample::Index>().prop_map(|which| LimitStep::Cancel { which }),
        3 => (name(), most, any::<bool>()).prop_map(|(name, most, adds)| LimitStep::InARow { name, most, adds }),
        1 => name().prop_map(|name| LimitStep::Reset { name }),
    ]
}

#[test]
fn limiters_count_odd_names_alike() {
    run(limit_step(), async |client, steps| {
        let (memory, redis) = (MemoryLimits::new(10_000), RedisLimits::new(client));
        let mut uses = Vec::new();
        for (n, (now, step)) in steps.into_iter().enumerate() {
            match step {
                LimitStep::Reserve { names, limit, lifted, use_id } => {
                    let since = if lifted { now } else { Timestamp::default() };
                    // A use's id is its own.
                    let (limit, use_id) = (RateLimit::parse(limit).unwrap(), format!("{use_id}{n}"));
                    let key = LimitKey { names, limit, since, use_id };
                    alike(memory.reserve(&key, now).await, redis.reserve(&key, now).await)?;
                    uses.push(key);
                }
                LimitStep::Cancel { which } if !uses.is_empty() => {
                    let key = which.get(&uses);
                    alike(memory.cancel(key).await, redis.cancel(key).await)?;
                }
                LimitStep::Cancel { .. } => {}
                LimitStep::InARow { name, most, adds } => {
                    let name = format!("row:{name}");
                    alike(memory.in_a_row(&name, most, adds, now).await, redis.in_a_row(&name, most, adds, now).await)?;
                }
                LimitStep::Reset { name } => {
                    for name in [format!("row:{name}"), format!("use:{name}")] {
                        alike(memory.reset(&name).await, redis.reset(&name).await)?;
                    }
                }
            }
        }
        Ok(())
    });
}

#[derive(Debug, Clone)]
enum AnswerStep {
    Begin { name: String, fingerprint: String, id: String },
    End { which: prop::sample::Index, answer: Option<Vec<u8>> },
}

fn answer_step() -> impl Strategy<Value = AnswerStep> {
    let answer = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 1..40));
    let fingerprint = prop_oneof![3 => select(vec!["", "\0"]).prop_map(str::to_owned), 1 => text()];
    prop_oneof![
        2 => (name(), fingerprint, text()).prop_map(|(name, fingerprint, id)| AnswerStep::Begin { name, fingerprint, id }),
        1 => (any::<prop::sample::Index>(), answer).prop_map(|(which, answer)| AnswerStep::End { which, answer }),
    ]
}

#[test]
fn answer_stores_keep_odd_answers_alike() {
    run(answer_step(), async |client, steps| {
        let (memory, redis) = (MemoryAnswers::new(100), RedisAnswers::new(client));
        let mut begun: Vec<(KeyedRequest, Timestamp)> = Vec::new();
        let mut latest = Timestamp::default();
        for (n, (now, step)) in steps.into_iter().enumerate() {
            // Where a clock is put back, memory has forgotten already what Redis still keeps.
            let now = now.max(latest);
            latest = now;
            match step {
                AnswerStep::Begin { name, fingerprint, id } => {
                    let request = KeyedRequest { name, fingerprint, id: format!("{id}{n}") };
                    alike(memory.begin(&request, now).await, redis.begin(&request, now).await)?;
                    begun.push((request, now));
                }
                AnswerStep::End { which, answer } if !begun.is_empty() => {
                    let (request, started_at) = which.get(&begun);
                    // Later, either may have forgotten it.
                    if now.millis() < started_at.plus(RUNNING).millis() {
                        let answer = answer.as_deref();
                        alike(memory.end(request, answer, now).await, redis.end(request, answer, now).await)?;
                    }
                }
                AnswerStep::End { .. } => {}
            }
        }
        Ok(())
    });
}
