//! Mutations of a corpus, as a hostile client sends them: each is answered, and never by an error of the server.

use std::{collections::HashSet, sync::Mutex, time::Duration};

use enroll::events::{Consumer, ConsumerSettings, HandlerResult, RabbitUrl};
use lapin::{
    BasicProperties, ExchangeKind,
    options::{BasicPublishOptions, ExchangeDeclareOptions},
    types::FieldTable,
};
use proptest::{
    prelude::*,
    sample::Index,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    Backend, Options, TestApp,
    rabbit::{TestExchange, amqp_url},
};

stories!(
    without a pooler:
    mutated_bodies_are_answered,
    mutated_headers_are_answered,
    mutated_addresses_are_answered,
    a_mutated_refresh_token_opens_nothing,
    mutated_csv_files_are_refused_or_imported,
);

const BODIES: &str = include_str!("../corpus/bodies.txt");
const AUTHORIZATION: &str = include_str!("../corpus/authorization.txt");
const FORWARDED: &str = include_str!("../corpus/forwarded.txt");
const ADDRESSES: &str = include_str!("../corpus/addresses.txt");
const EVENTS: &str = include_str!("../corpus/events.txt");
const ACCOUNTS: &str = include_str!("../corpus/accounts.csv");

/// The same each time, so that a failure can be repeated; each seed is among them as it stands.
fn mutations(corpus: &str, count: usize) -> Vec<Vec<u8>> {
    let seeds: Vec<Vec<u8>> = corpus.lines().map(|line| line.as_bytes().to_vec()).collect();
    let change = (any::<Index>(), 0..4_u8, any::<u8>());
    let mutation = (any::<Index>(), prop::collection::vec(change, 1..6));
    let mut runner = TestRunner::new_with_rng(Config::default(), prop::test_runner::TestRng::deterministic_rng(
        prop::test_runner::RngAlgorithm::ChaCha,
    ));
    let mutated = (0..count).map(|_| {
        let (seed, changes) = mutation.new_tree(&mut runner).unwrap().current();
        changes.into_iter().fold(seed.get(&seeds).clone(), changed)
    });
    seeds.iter().cloned().chain(mutated).collect()
}

fn changed(mut bytes: Vec<u8>, (at, kind, byte): (Index, u8, u8)) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![byte];
    }
    let at = at.index(bytes.len());
    match kind {
        0 => bytes[at] = byte,
        1 => bytes.insert(at, byte),
        2 => drop(bytes.remove(at)),
        _ => bytes.extend_from_within(at..),
    }
    bytes.truncate(4_096);
    bytes
}

/// The status; `None` if the connection was closed, as for bytes that are no HTTP.
async fn send(app: &TestApp, method: &str, path: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap();
    let mut request = format!("{method} /api/v1{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    let length = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    request.extend([length.as_bytes(), body].concat());
    stream.write_all(&request).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let line = String::from_utf8_lossy(&answer);
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn assert_answered(status: Option<u16>, sent: &[u8]) {
    assert!(status.is_none_or(|status| status < 500), "{status:?}: {}", String::from_utf8_lossy(sent));
}

async fn mutated_bodies_are_answered(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited().with("ENROLL__SERVER__GOTRUE_PREFIX", "/api/v1/gotrue")).await;
    let paths = ["register", "verify-otp", "resend-otp", "login", "send-otp", "refresh", "forgot-password", "reset-password"];
    let paths = paths.map(|path| format!("/auth/{path}"));
    let dialect = ["signup", "verify", "resend", "otp", "token?grant_type=password", "recover", "challenge", "user"];
    let paths = [paths, dialect.map(|path| format!("/gotrue/{path}"))].concat();
    for (n, body) in mutations(BODIES, 800).into_iter().enumerate() {
        let path = &paths[n % paths.len()];
        let status = send(&app, "POST", path, &[], &body).await;
        assert!(status.is_some(), "HTTP is answered: {}", String::from_utf8_lossy(&body));
        assert_answered(status, &body);
    }
}

async fn mutated_headers_are_answered(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    for value in mutations(AUTHORIZATION, 200) {
        let headers = [("authorization", value.as_slice())];
        assert_answered(send(&app, "POST", "/users/activate", &headers, br#"{"otp":"1234"}"#).await, &value);
        let status = send(&app, "GET", "/users/me", &headers, b"").await;
        assert_answered(status, &value);
        assert_ne!(status, Some(200));
    }
    for value in mutations(FORWARDED, 200) {
        let headers = [("x-forwarded-for", value.as_slice()), ("idempotency-key", &value)];
        let status = send(&app, "POST", "/auth/send-otp", &headers, br#"{"mobile":"9876543210"}"#).await;
        assert_answered(status, &value);
    }
}

async fn mutated_addresses_are_answered(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    for address in mutations(ADDRESSES, 300) {
        let text = String::from_utf8_lossy(&address);
        for field in ["mobile", "email", "login_id"] {
            let body = json!({field: text, "password": "correct horse battery"}).to_string();
            assert_answered(send(&app, "POST", "/auth/login", &[], body.as_bytes()).await, &address);
        }
        let body = json!({"mobile": text}).to_string();
        assert_answered(send(&app, "POST", "/auth/send-otp", &[], body.as_bytes()).await, &address);
    }
}

async fn a_mutated_refresh_token_opens_nothing(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let ann = app.register(json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let opened = app.verify(&ann, &ann.otp).await.is(200);
    let token = opened["refresh_token"].as_str().unwrap();
    for mutated in mutations(token, 300) {
        if mutated == token.as_bytes() {
            continue;
        }
        let text = String::from_utf8_lossy(&mutated);
        let answer = app.post("/auth/refresh", json!({"refresh_token": text})).await;
        assert!([401, 422].contains(&answer.status), "{text}: {answer:?}");
    }
    app.post("/auth/refresh", json!({"refresh_token": token})).await.is(200);
}

async fn mutated_csv_files_are_refused_or_imported(backend: Backend) {
    let app = TestApp::with(backend, Options::unlimited()).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("accounts.csv");
    let whole = ACCOUNTS.replace('\n', "\u{1}"); // one seed
    for mutated in mutations(&whole, 40) {
        let bytes: Vec<u8> = mutated.into_iter().map(|byte| if byte == 1 { b'\n' } else { byte }).collect();
        std::fs::write(&file, &bytes).unwrap();
        let (_, errors, code) = app.command(&["users", "import", "--update", file.to_str().unwrap()]).await;
        assert!([0, 1].contains(&code) && !errors.contains("panicked"), "{code}: {errors}");
        assert!(code == 0 || !errors.is_empty(), "a refusal says why: {}", String::from_utf8_lossy(&bytes));
    }
}

/// As they come from whoever may publish to the exchange: each is handled once, or a dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_events_are_handled_once_or_dead_fleet() {
    let place = TestExchange::on(amqp_url());
    let url = RabbitUrl::parse(&place.url, place.exchange.clone()).unwrap();
    let mut consumer = Consumer::new(url, ConsumerSettings { queue: place.queue.clone(), topics: vec!["#".into()] });
    let mut messages = mutations(EVENTS, 300);
    // And each as the id of an event.
    let with_id = |text: &Vec<u8>| json!({"id": String::from_utf8_lossy(text)}).to_string().into_bytes();
    messages.extend(messages.iter().map(with_id).collect::<Vec<_>>());
    let handled = Mutex::new(Vec::new());
    let handle = async |event: &Value| {
        handled.lock().unwrap().push(event["id"].clone());
        HandlerResult::Done
    };
    let publish_all = async {
        let (connection, channel) = place.channel().await;
        let (exchange, durable) = (place.exchange.as_str().into(), ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() });
        channel.exchange_declare(exchange, ExchangeKind::Topic, durable, FieldTable::default()).await.unwrap();
        let publish = async |message: &[u8]| {
            let (exchange, key) = (place.exchange.as_str().into(), "user.odd".into());
            let options = BasicPublishOptions::default();
            let published = channel.basic_publish(exchange, key, options, message, BasicProperties::default());
            published.await.unwrap();
        };
        // Once it listens, the first comes through.
        until_handled(&handled, "first", async || publish(br#"{"id":"first"}"#).await).await;
        for message in &messages {
            publish(message).await;
        }
        publish(br#"{"id":"last"}"#).await;
        until_handled(&handled, "last", async || ()).await;
        drop(connection);
    };
    tokio::select! {
        () = consumer.run(handle) => unreachable!("it runs for ever"),
        () = publish_all => {}
    }
    let mut ids = HashSet::new();
    let (good, bad): (Vec<_>, Vec<_>) = messages.iter().map(|message| id_of(message)).partition(Option::is_some);
    let mut expected: Vec<_> = good.into_iter().flatten().filter(|id| ids.insert(id.clone())).collect();
    expected.insert(0, "first".to_owned());
    expected.push("last".to_owned());
    assert_eq!(*handled.lock().unwrap(), expected);
    let dead = u32::try_from(bad.len()).unwrap();
    assert!(dead > 100 && expected.len() > 100, "the corpus has both: {dead}, {}", expected.len());
    assert_eq!(place.waits(&format!("{}.dead", place.queue), dead).await, dead);
    place.remove().await;
}

fn id_of(message: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(message).ok()?;
    event["id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
}

async fn until_handled(handled: &Mutex<Vec<Value>>, id: &str, meanwhile: impl AsyncFn()) {
    for _ in 0..400 {
        if handled.lock().unwrap().iter().any(|handled| handled == id) {
            return;
        }
        meanwhile().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{id:?} did not come");
}
