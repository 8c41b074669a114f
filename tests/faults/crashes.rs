//! Nodes killed with -9: what was answered with 2xx is kept, and no dead code is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    rabbitmq::hears_of_all,
    webhook_events::{posts_of_all, posting_to},
};
use crate::support::{
    Answer, Backend,
    fake_provider::{Answers, Gateway},
    process::{Lines, Node, Sandbox},
    rabbit::{TestExchange, amqp_url},
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
    let sandbox = Sandbox::new(backend).await;
    let http = reqwest::Client::new_with_timeout();
    let mut node = sandbox.node();
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

#[tokio::test]
async fn a_dead_code_is_never_sent_embedded() {
    a_dead_code_is_never_sent(Backend::Embedded).await;
}

#[tokio::test]
async fn a_dead_code_is_never_sent_fleet() {
    a_dead_code_is_never_sent(Backend::Fleet).await;
}

/// Messages wait; meanwhile one's code is replaced, one's registration is proven by another, one's
/// code ends: only codes that still live go out.
async fn a_dead_code_is_never_sent(backend: Backend) {
    let sandbox = Sandbox::new(backend).await;
    let http = reqwest::Client::new_with_timeout();
    let mut node = sandbox.node().unlimited().set("ENROLL__CODES__REGISTRATION_EMAIL__TTL", "10");
    node.start_mute();
    let register = async |body: Value| post(&http, &node.base, "/auth/register", body).await.unwrap().is(202);
    let replaced = register(json!({"mobile": "+919876543210", "password": "correct horse"})).await;
    let id = &replaced["verification"]["verification_id"];
    post(&http, &node.base, "/auth/resend-otp", json!({"verification_id": id})).await.unwrap().is(200);
    let ended = register(json!({"email": "ann@example.com", "password": "correct horse"})).await;
    let proven = register(json!({"mobile": "+919876543211", "password": "one horse"})).await;
    register(json!({"mobile": "+919876543211", "password": "another horse"})).await;
    tokio::time::sleep(Duration::from_secs(11)).await; // the email's code ends: real time, for it is a process
    node.kill();
    let proven = proven["verification"]["verification_id"].as_str().unwrap();
    prove(&sandbox, backend, proven).await;

    node.start();
    node.code("+919876543210", 1).await;
    let store = store(&sandbox);
    let waiting_until = Instant::now() + Duration::from_secs(30);
    while store.read().await.unwrap().waiting_messages().await.unwrap().0 > 0 {
        assert!(Instant::now() < waiting_until, "a message never ended");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(node.codes("+919876543210").len(), 1, "the replaced code was not sent");
    assert!(node.codes("+919876543211").is_empty(), "what is proven needs no code");
    assert!(node.codes("ann@example.com").is_empty(), "nothing is sent after its end");
    let ended = ended["verification"]["verification_id"].as_str().unwrap();
    let status = http.get(format!("{}/api/v1/auth/verifications/{ended}", node.base)).send().await.unwrap();
    assert_eq!(Answer::read(status).await.is(200)["state"], "expired");
    let verify = json!({"verification_id": id, "otp": node.code("+919876543210", 1).await});
    post(&http, &node.base, "/auth/verify-otp", verify).await.unwrap().is(200);
}

/// What a verify does in the database, done while the node is away.
async fn prove(sandbox: &Sandbox, backend: Backend, verification: &str) {
    let store = store(sandbox);
    let now = enroll::domain::Clock::now(&enroll::domain::SystemClock);
    let id = uuid::Uuid::parse_str(verification).unwrap();
    let mut tx = store.begin().await.unwrap();
    let activation = tx.activation(id, false, now).await.unwrap().unwrap();
    let destination = activation.registration.destination();
    tx.insert_user(&enroll::domain::User::from_registration(activation.registration, now)).await.unwrap();
    assert_eq!(tx.delete_registrations(&destination).await.unwrap().len(), 2, "{backend:?}");
    assert!(tx.mark_verified(id, None, now).await.unwrap());
    tx.commit().await.unwrap();
}

fn store(sandbox: &Sandbox) -> enroll::store::Store {
    let timeout = Duration::from_secs(5);
    let settings = enroll::store::StoreSettings { max_connections: 1, timeout, ..enroll::store::StoreSettings::at(sandbox.database_url()) };
    enroll::store::Store::open(&settings, false).unwrap()
}

/// A node that can't send is killed; another, on the same database and Redis, sends for it.
#[tokio::test]
async fn another_node_sends_what_a_dead_one_claimed_fleet() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let http = reqwest::Client::new_with_timeout();
    let (mut mute, mut other) = (sandbox.node(), sandbox.node());
    mute.start_mute();
    let body = json!({"mobile": "9876543210", "password": "correct horse"});
    let answer = post(&http, &mute.base, "/auth/register", body).await.unwrap().is(202);
    mute.kill();
    other.start();
    let otp = other.code("+919876543210", 1).await;
    let verify = json!({"verification_id": answer["verification"]["verification_id"], "otp": otp});
    post(&http, &other.base, "/auth/verify-otp", verify).await.unwrap().is(200);
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
    let sandbox = Sandbox::new(backend).await;
    let receiver = Gateway::start(Answers::With(204, "")).await;
    let mut node = posting_to(&receiver.url, sandbox.node().unlimited());
    let place = backend.has_postgres().then(|| TestExchange::on(amqp_url()));
    let mut listener = None;
    if let Some(place) = &place {
        node = node.set("AMQP_URL", &place.url).set("ENROLL__EVENTS__EXCHANGE", &place.exchange);
        listener = Some(node.consume_events(&place.queue, &[]).await);
    }
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
    // A slow machine takes longer for a load that is real.
    let load_until = Instant::now() + Duration::from_secs(30);
    tokio::time::sleep(Duration::from_secs(1)).await;
    while ledger.verified.lock().unwrap().len() <= 20 && Instant::now() < load_until {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    every_answer_was_kept(&node, &ledger).await;
    let store = store(&sandbox);
    let waiting_until = Instant::now() + Duration::from_secs(30); // a lease is 15 s
    while store.read().await.unwrap().waiting_messages().await.unwrap().0 > 0 {
        assert!(Instant::now() < waiting_until, "a message was claimed and never ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    every_message_ended(&node, &ledger).await;
    what_broke_off_was_done_wholly_or_not_at_all(&node, &ledger).await;
    posts_of_all(&sandbox, &receiver, Duration::from_mins(1)).await;
    if let Some((listener, place)) = listener.zip(place) {
        // Told at least once for every account, and of none that is not there.
        hears_of_all(&sandbox, &listener, Duration::from_secs(30)).await;
        drop(listener);
        place.remove().await;
    }
    let tokens: Vec<String> = ledger.verified.lock().unwrap().values().cloned().collect();
    no_log_line_has_a_secret(&node, &tokens);
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

/// An account that can't be registered again, or a registration as it was.
async fn what_broke_off_was_done_wholly_or_not_at_all(node: &Node, ledger: &Ledger) {
    let http = reqwest::Client::new_with_timeout();
    let unknown = ledger.unknown.lock().unwrap().clone();
    let registered = ledger.registered.lock().unwrap().clone();
    for mobile in unknown {
        let status = http.get(format!("{}/api/v1/auth/verifications/{}", node.base, registered[&mobile]));
        let state = Answer::read(status.send().await.unwrap()).await.is(200)["state"].as_str().unwrap().to_owned();
        let again = json!({"mobile": mobile, "password": "another horse"});
        let again = post(&http, &node.base, "/auth/register", again).await.unwrap().status;
        assert_eq!(again == 409, state == "verified", "{mobile} is {state}, and registering answers {again}");
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

fn no_log_line_has_a_secret(node: &Node, tokens: &[String]) {
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
        assert!(!tokens.iter().any(|token| line.contains(token.as_str())), "{line}");
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
        Self::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(15)).build().unwrap()
    }
}
