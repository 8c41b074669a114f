use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    Answer, Backend,
    process::{Ground, Lines, Node},
};

#[tokio::test]
async fn a_message_not_sent_is_sent_after_a_kill_embedded() {
    a_message_not_sent_is_sent_after_a_kill(Backend::Embedded).await;
}

#[tokio::test]
async fn a_message_not_sent_is_sent_after_a_kill_sqlite_redis() {
    a_message_not_sent_is_sent_after_a_kill(Backend::SqliteRedis).await;
}

#[tokio::test]
async fn a_message_not_sent_is_sent_after_a_kill_fleet() {
    a_message_not_sent_is_sent_after_a_kill(Backend::Fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_embedded() {
    twenty_kills_lose_nothing(Backend::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_sqlite_redis() {
    twenty_kills_lose_nothing(Backend::SqliteRedis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_fleet() {
    twenty_kills_lose_nothing(Backend::Fleet).await;
}

async fn post(http: &reqwest::Client, node: &str, path: &str, body: Value) -> Option<Answer> {
    let sent = http.post(format!("{node}/api/v1{path}")).json(&body).send().await.ok()?;
    let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
    Some(Answer { status, headers, text: sent.text().await.ok()? })
}

async fn a_message_not_sent_is_sent_after_a_kill(backend: Backend) {
    let ground = Ground::new(backend).await;
    let http = reqwest::Client::new_with_timeout();
    let mut node = ground.node();
    node.start_mute();
    let register = async |mobile: &str| {
        let body = json!({"mobile": mobile, "password": "correct horse"});
        post(&http, &node.base, "/auth/register", body).await.unwrap().is(202)
    };
    let (ann, bob) = (register("9876543210").await, register("9876543211").await);
    tokio::time::sleep(Duration::from_millis(300)).await; // tries fail meanwhile
    node.kill();

    node.start();
    let otp = node.code("+919876543210", 1).await;
    node.code("+919876543211", 1).await;
    let verify = json!({"verification_id": ann["verification"]["verification_id"], "otp": otp});
    post(&http, &node.base, "/auth/verify-otp", verify).await.unwrap().is(200);
    assert_eq!(node.codes("+919876543211").len(), 1, "nothing is sent twice without a crash in between");
    assert!(bob["verification"]["verification_id"].is_string());
}

/// What the clients know: kept outside of what is tested.
#[derive(Default)]
struct Ledger {
    /// Each 202: the mobile's verification.
    registered: Mutex<BTreeMap<String, String>>,
    /// Each 200 of verify: the mobile's token.
    verified: Mutex<BTreeMap<String, String>>,
    /// Mobiles whose verify broke off.
    unknown: Mutex<BTreeSet<String>>,
}

async fn twenty_kills_lose_nothing(backend: Backend) {
    let ground = Ground::new(backend).await;
    let mut node = ground.node().unlimited();
    node.start();
    let (ledger, done, next) =
        (Arc::new(Ledger::default()), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let client = Client {
                http: reqwest::Client::new_with_timeout(),
                base: node.base.clone(),
                console: node.console.clone(),
                ledger: Arc::clone(&ledger),
            };
            let (done, next) = (Arc::clone(&done), Arc::clone(&next));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    client.story(next.fetch_add(1, Ordering::Relaxed)).await;
                }
            })
        })
        .collect();
    for kill in 0..20 {
        tokio::time::sleep(Duration::from_millis(100 + 37 * (kill % 7))).await;
        node.kill();
        node.start();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    every_answer_was_kept(&node, &ledger).await;
    let store = enroll::store::Store::open(
        &enroll::store::StoreSettings {
            url: ground.database_url(),
            max_connections: 1,
            timeout: Duration::from_secs(5),
        },
        false,
    )
    .unwrap();
    let waiting_until = Instant::now() + Duration::from_secs(40); // a lease is 30 s
    while store.waiting_messages().await.unwrap().0 > 0 {
        assert!(Instant::now() < waiting_until, "a message was claimed and never ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    every_message_ended(&node, &ledger).await;
    no_log_line_has_a_secret(&node);
}

struct Client {
    http: reqwest::Client,
    base: String,
    console: Lines,
    ledger: Arc<Ledger>,
}

impl Client {
    /// Registers a mobile of its own and, when the code comes, verifies it.
    async fn story(&self, number: u32) {
        let mobile = format!("+9198{number:08}");
        let body = json!({"mobile": mobile, "password": "correct horse"});
        let Some(answer) = post(&self.http, &self.base, "/auth/register", body).await else {
            return tokio::time::sleep(Duration::from_millis(20)).await;
        };
        if answer.status == 503 {
            return; // a part of it may have been done; nothing is promised
        }
        let id = answer.is(202)["verification"]["verification_id"].as_str().unwrap().to_owned();
        self.ledger.registered.lock().unwrap().insert(mobile.clone(), id.clone());
        let Some(otp) = self.code(&mobile).await else { return };
        let body = json!({"verification_id": id, "otp": otp});
        match post(&self.http, &self.base, "/auth/verify-otp", body).await {
            None => drop(self.ledger.unknown.lock().unwrap().insert(mobile)),
            Some(answer) if answer.status == 200 => {
                let token = answer.is(200)["access_token"].as_str().unwrap().to_owned();
                self.ledger.verified.lock().unwrap().insert(mobile, token);
            }
            // With the codes in memory, a restart ends those that were sent.
            Some(answer) => assert!(matches!(answer.status, 400 | 503), "{answer:#?}"),
        }
    }

    async fn code(&self, mobile: &str) -> Option<String> {
        let of_it = format!(" to {mobile}: Enroll: ");
        for _ in 0..25 {
            let lines = self.console.all();
            if let Some(line) = lines.iter().find(|line| line.contains(&of_it)) {
                return line.split("Enroll: ").nth(1)?.split(' ').next().map(str::to_owned);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

async fn every_answer_was_kept(node: &Node, ledger: &Ledger) {
    let http = reqwest::Client::new_with_timeout();
    let verified = ledger.verified.lock().unwrap().clone();
    assert!(verified.len() > 20, "the load was real: {}", verified.len());
    let mut ids = BTreeSet::new();
    for (mobile, token) in &verified {
        let me = http.get(format!("{}/api/v1/users/me", node.base)).bearer_auth(token).send().await.unwrap();
        let me = Answer::read(me).await.is(200);
        assert_eq!(me["mobile"], *mobile);
        assert!(ids.insert(me["id"].to_string()), "one account a mobile");
        // Made once: it can't be registered again.
        let again = json!({"mobile": mobile, "password": "another horse"});
        post(&http, &node.base, "/auth/register", again).await.unwrap().is_problem(409, "account_exists");
    }
}

async fn every_message_ended(node: &Node, ledger: &Ledger) {
    let http = reqwest::Client::new_with_timeout();
    let registered = ledger.registered.lock().unwrap().clone();
    for (mobile, id) in &registered {
        let status = http.get(format!("{}/api/v1/auth/verifications/{id}", node.base)).send().await.unwrap();
        let state = Answer::read(status).await.is(200)["state"].as_str().unwrap().to_owned();
        let sent = node.codes(mobile);
        assert!(matches!(state.as_str(), "sent" | "verified" | "expired"), "{mobile}: {state}");
        assert!(state == "expired" || !sent.is_empty(), "{mobile} is {state}, and nothing was sent");
        // A crash between sending and marking may send a message again, with the same code.
        assert!(sent.len() <= 3 && sent.iter().all(|code| *code == sent[0]), "{mobile}: {sent:?}");
    }
}

fn no_log_line_has_a_secret(node: &Node) {
    let log = node.log.all();
    assert!(log.len() > 100);
    let codes: BTreeSet<String> = node
        .console
        .all()
        .iter()
        .filter_map(|line| Some(line.split("Enroll: ").nth(1)?.split(' ').next()?.to_owned()))
        .collect();
    for line in &log {
        assert!(!line.contains("correct horse"), "{line}");
        let message = line.split_once(r#""level""#).map_or(line.as_str(), |(_, rest)| rest); // past the time
        let mut words = message.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        assert!(!words.any(|word| codes.contains(word)), "{line}");
    }
}

/// Clients that give up before the test does.
trait NewWithTimeout {
    fn new_with_timeout() -> Self;
}

impl NewWithTimeout for reqwest::Client {
    fn new_with_timeout() -> Self {
        Self::builder().timeout(Duration::from_secs(15)).build().unwrap()
    }
}
