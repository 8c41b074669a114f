//! Servers stopped and frozen under a running node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer,
    process::Node,
    servers::{Breakable, OwnPostgres, OwnRedis},
};

/// A fleet's node on servers that the test may break.
struct Fleet {
    postgres: OwnPostgres,
    redis: OwnRedis,
    node: Node,
    http: reqwest::Client,
}

/// An account, and a registration that is still pending.
struct People {
    token: String,
    pending: String,
}

impl Fleet {
    fn start() -> Self {
        let (postgres, redis) = (OwnPostgres::launch(), OwnRedis::launch());
        let mut node = Node::new(&postgres.url()).set("REDIS_URL", &redis.url()).unlimited();
        node.start();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { postgres, redis, node, http }
    }

    async fn people(&self) -> People {
        let register = async |mobile: &str| {
            let body = json!({"mobile": mobile, "password": "correct horse"});
            let answer = call(&self.http, Method::POST, &self.node.base, "/auth/register", Some(body), None).await;
            answer.is(202)["verification"]["verification_id"].as_str().unwrap().to_owned()
        };
        let ann = register("+919876543210").await;
        let otp = self.node.code("+919876543210", 1).await;
        let body = json!({"verification_id": ann, "otp": otp});
        let opened =
            call(&self.http, Method::POST, &self.node.base, "/auth/verify-otp", Some(body), None).await.is(200);
        let token = opened["access_token"].as_str().unwrap().to_owned();
        People { token, pending: register("+919876543211").await }
    }

    async fn readyz(&self, query: &str) -> Answer {
        let sent = self.http.get(format!("{}/readyz{query}", self.node.base)).send().await.unwrap();
        Answer::read(sent).await
    }

    /// Waits until every kind of call works again.
    async fn is_green_within(&self, people: &People, patience: Duration) {
        let started = Instant::now();
        let mut number = 1_000;
        loop {
            let mut green = self.readyz("").await.status == 200;
            for (method, path, body, token) in calls(people, number) {
                let answer = call(&self.http, method, &self.node.base, &path, body, token).await;
                green &= answer.status < 500;
            }
            if green {
                return;
            }
            number += 1;
            assert!(started.elapsed() < patience, "not green after {patience:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

type Call = (Method, String, Option<Value>, Option<String>);

/// One of each kind; a wrong code is guessed, so that nothing is used up.
fn calls(people: &People, number: u32) -> Vec<Call> {
    let register = json!({"mobile": format!("+9197{number:08}"), "password": "correct horse"});
    let verify = json!({"verification_id": people.pending, "otp": "000000"});
    vec![
        (Method::POST, "/auth/register".into(), Some(register), None),
        (Method::POST, "/auth/verify-otp".into(), Some(verify), None),
        (Method::POST, "/auth/resend-otp".into(), Some(json!({"verification_id": people.pending})), None),
        (Method::GET, format!("/auth/verifications/{}", people.pending), None, None),
        (Method::GET, "/users/me".into(), None, Some(people.token.clone())),
    ]
}

async fn call(
    http: &reqwest::Client,
    method: Method,
    base: &str,
    path: &str,
    body: Option<Value>,
    token: Option<String>,
) -> Answer {
    let mut request = http.request(method, format!("{base}/api/v1{path}"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Answer::read(request.send().await.unwrap()).await
}

/// Sixteen clients call everything while `breaks` runs; what was answered after the break.
async fn under_load(
    http: &reqwest::Client,
    base: &str,
    people: &People,
    breaks: impl Future<Output = Instant>,
) -> Vec<Seen> {
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16_u32)
        .map(|client| {
            let (http, base, done) = (http.clone(), base.to_owned(), Arc::clone(&done));
            let people = People { token: people.token.clone(), pending: people.pending.clone() };
            tokio::spawn(async move {
                let mut answers = Vec::new();
                let mut number = client * 1_000_000;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    for (method, path, body, token) in calls(&people, number) {
                        let started = Instant::now();
                        let answer = call(&http, method, &base, &path, body, token).await;
                        let path = path.split("/verifications").next().unwrap().to_owned();
                        answers.push(Seen { path, answer, started, took: started.elapsed() });
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                answers
            })
        })
        .collect();
    let broken_at = breaks.await;
    done.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await.unwrap());
    }
    assert!(all.iter().any(|seen| seen.started < broken_at && seen.answer.status < 300), "it worked before");
    all.retain(|seen| seen.started + seen.took > broken_at);
    all
}

/// An answer that came after the break, to a call begun before it or after.
struct Seen {
    path: String,
    answer: Answer,
    started: Instant,
    took: Duration,
}

/// Breaks a part in the midst of the load, and leaves it so for a while.
async fn break_it(how: impl FnOnce()) -> Instant {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at = Instant::now();
    tokio::task::block_in_place(how);
    tokio::time::sleep(Duration::from_secs(4)).await;
    at
}

fn all_in_time(answers: &[Seen]) {
    for Seen { path, answer, took, .. } in answers {
        assert!(*took < Duration::from_secs(3), "{path} took {took:?}: {answer:#?}");
        assert!(matches!(answer.status, 200 | 202 | 400 | 429 | 503), "{path}: {answer:#?}");
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some(), "{answer:#?}");
            answer
                .clone()
                .is_problem(503, if answer.text.contains("overloaded") { "overloaded" } else { "unavailable" });
        }
    }
}

/// What was asked a moment after the break; before it, an answer may have been on its way.
fn settled(answers: &[Seen]) -> impl Iterator<Item = &Seen> {
    let first = answers.iter().map(|seen| seen.started).min().unwrap();
    answers.iter().filter(move |seen| seen.started > first + Duration::from_secs(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_stopped_then_frozen_under_load_is_503_in_time() {
    let mut fleet = Fleet::start();
    let people = fleet.people().await;
    for frozen in [false, true] {
        let (http, base) = (fleet.http.clone(), fleet.node.base.clone());
        let postgres = &mut fleet.postgres;
        let breaks = break_it(|| if frozen { postgres.freeze() } else { postgres.kill() });
        let answers = under_load(&http, &base, &people, breaks).await;
        all_in_time(&answers);
        assert!(settled(&answers).count() > 16);
        for Seen { path, answer, .. } in settled(&answers) {
            assert_eq!(answer.status, 503, "{path}: {answer:#?}");
        }
        assert_eq!(fleet.readyz("?needs=sql").await.is(503)["missing"], json!(["sql"]));
        assert_eq!(fleet.readyz("").await.header("retry-after"), Some("1"));
        if frozen {
            fleet.postgres.thaw();
        } else {
            fleet.postgres.start();
        }
        fleet.is_green_within(&people, Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_stopped_then_frozen_under_load_leaves_what_needs_only_sql() {
    let mut fleet = Fleet::start();
    let people = fleet.people().await;
    let needs_redis = ["/auth/register", "/auth/verify-otp", "/auth/resend-otp"];
    for frozen in [false, true] {
        let (http, base) = (fleet.http.clone(), fleet.node.base.clone());
        let redis = &mut fleet.redis;
        let breaks = break_it(|| if frozen { redis.freeze() } else { redis.kill() });
        let answers = under_load(&http, &base, &people, breaks).await;
        all_in_time(&answers);
        for Seen { path, answer, .. } in settled(&answers) {
            if needs_redis.contains(&path.as_str()) {
                assert_eq!(answer.status, 503, "{path}: {answer:#?}");
            } else {
                assert_eq!(answer.status, 200, "{path}: {answer:#?}");
                assert!(!path.starts_with("/auth") || answer.text.contains(r#""attempts_left":null"#), "{answer:#?}");
            }
        }
        assert_eq!(fleet.readyz("").await.is(503)["missing"], json!(["redis"]));
        fleet.readyz("?needs=sql").await.is(200);
        if frozen {
            fleet.redis.thaw();
        } else {
            fleet.redis.start();
        }
        fleet.is_green_within(&people, Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_start_without_postgres_waits_and_then_names_it() {
    let mut postgres = OwnPostgres::launch();
    postgres.kill();
    let redis = OwnRedis::launch();
    let mut node = Node::new(&postgres.url()).set("REDIS_URL", &redis.url());
    let waiting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(3));
        postgres.start();
        postgres
    });
    node.start();
    let postgres = waiting.join().unwrap();
    assert!(node.log.all().iter().any(|line| line.contains("waiting for a dependency")));
    let (took, code) = node.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(postgres);
}

#[tokio::test]
async fn terminating_a_fleet_node_says_so_and_finishes_what_runs() {
    let postgres = OwnPostgres::launch();
    let redis = OwnRedis::launch();
    let mut node = Node::new(&postgres.url()).set("REDIS_URL", &redis.url()).set("ENROLL__PASSWORDS__ITERATIONS", "40");
    node = node.set("ENROLL__PASSWORDS__MEMORY_KIB", "19456");
    node.start();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let body = json!({"mobile": "9876543210", "password": "correct horse"});
    let (slow_http, base) = (http.clone(), node.base.clone());
    let slow =
        tokio::spawn(async move { call(&slow_http, Method::POST, &base, "/auth/register", Some(body), None).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let base = node.base.clone();
    let ended = tokio::task::spawn_blocking(move || node.terminate());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ready = Answer::read(http.get(format!("{base}/readyz")).send().await.unwrap()).await;
    assert_eq!(ready.is(503)["missing"], json!(["stopping"]));
    slow.await.unwrap().is(202);
    let (took, code) = ended.await.unwrap();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
