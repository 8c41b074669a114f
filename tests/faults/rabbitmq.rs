//! Events reach whoever listens, whatever is stopped meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use lapin::{
    BasicProperties, ExchangeKind,
    options::{BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::{
    Backend,
    process::{EventConsumer, Node, Sandbox},
    rabbit::{OwnRabbit, TestExchange, amqp_url},
    servers::Breakable as _,
};

fn node(sandbox: &Sandbox, place: &TestExchange) -> Node {
    sandbox.node().unlimited().set("AMQP_URL", &place.url).set("ENROLL__EVENTS__EXCHANGE", &place.exchange)
}

/// Registers a mobile and proves it; its tokens.
pub async fn join(node: &Node, mobile: &str) -> Value {
    let body = json!({"mobile": mobile, "password": "correct horse"});
    let answer = node.call(Method::POST, "/auth/register", None, body).await.is(202);
    let id = &answer["verification"]["verification_id"];
    let proof = json!({"verification_id": id, "otp": node.code(mobile, 1).await});
    node.call(Method::POST, "/auth/verify-otp", None, proof).await.is(200)
}

/// The ids of all accounts.
pub async fn accounts(sandbox: &Sandbox) -> BTreeSet<String> {
    if sandbox.database.is_none() {
        let mut connection = sqlx::SqliteConnection::connect(&sandbox.database_url()).await.unwrap();
        let ids: Vec<uuid::Uuid> =
            sqlx::query_scalar("SELECT id FROM users").fetch_all(&mut connection).await.unwrap();
        return ids.into_iter().map(|id| id.to_string()).collect();
    }
    let mut connection = sqlx::PgConnection::connect(&sandbox.database_url()).await.unwrap();
    let ids: Vec<String> = sqlx::query_scalar("SELECT id::text FROM users").fetch_all(&mut connection).await.unwrap();
    ids.into_iter().collect()
}

/// Whose activation a listener heard of; and of each user the events came in their order.
pub fn activated(listener: &EventConsumer) -> BTreeSet<String> {
    activated_by(listener.events())
}

/// Whose activation is among these events; and of each user they came in their order.
pub fn activated_by(events: Vec<Value>) -> BTreeSet<String> {
    let mut of_users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let Some(user) = event["subject"].as_str() else { continue };
        of_users.entry(user.to_owned()).or_default().push(event["type"].as_str().unwrap().to_owned());
    }
    for (user, events) in &of_users {
        let rank = |kind: &str| {
            ["registration.requested", "user.registered", "user.activated", "user.logged_in"]
                .iter()
                .position(|known| *known == kind)
        };
        let ranks: Vec<_> = events.iter().filter_map(|kind| rank(kind)).collect();
        assert!(ranks.is_sorted(), "{user}: {events:?}");
    }
    let with =
        |(user, events): (String, Vec<String>)| events.iter().any(|kind| kind == "user.activated").then_some(user);
    of_users.into_iter().filter_map(with).collect()
}

/// Waits until a listener has heard of every account and of no other.
pub async fn hears_of_all(sandbox: &Sandbox, listener: &EventConsumer, patience: Duration) {
    all_are_told_of(sandbox, || activated(listener), patience).await;
}

/// Waits until every account was told of, and no other.
pub async fn all_are_told_of(sandbox: &Sandbox, told_of: impl Fn() -> BTreeSet<String>, patience: Duration) {
    let started = Instant::now();
    loop {
        let (there, heard) = (accounts(sandbox).await, told_of());
        if heard == there {
            return;
        }
        assert!(heard.is_subset(&there), "of accounts that are not there: {:?}", heard.difference(&there));
        assert!(started.elapsed() < patience, "{} of {} accounts were told of", heard.len(), there.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_to_a_fleet_gets_cloud_events() {
    let (sandbox, place) = (Sandbox::new(Backend::Fleet).await, TestExchange::on(amqp_url()));
    let mut node = node(&sandbox, &place);
    let listener = node.consume_events(&place.queue, &[]).await;
    node.start();
    let ann = join(&node, "+919876543210").await;
    node.call(Method::POST, "/auth/logout", Some(&ann["access_token"]), json!({})).await.is(204);
    let events = listener.wait_for(5).await;
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let told = ["registration.requested", "user.registered", "user.activated", "user.logged_in", "session.revoked"];
    assert_eq!(kinds, told);
    for event in &events {
        assert_eq!((&event["specversion"], &event["subject"]), (&json!("1.0"), &ann["user"]["id"]));
        assert_eq!(event["source"].as_str(), Some(node.base.as_str()));
        assert!(event["id"].is_string() && event["time"].as_str().unwrap().ends_with('Z'));
        assert!(!event.to_string().contains("98765"), "{event}");
    }
    // A repeat is dropped; what is no event is put among the dead.
    let (_connection, channel) = place.channel().await;
    for body in [events[0].to_string(), "no event".to_owned(), json!({"id": "new"}).to_string()] {
        let (exchange, key) = (place.exchange.as_str().into(), "user.odd".into());
        let options = BasicPublishOptions::default();
        channel.basic_publish(exchange, key, options, body.as_bytes(), BasicProperties::default()).await.unwrap();
    }
    let events = listener.wait_for(6).await;
    assert_eq!(events[5], json!({"id": "new"}));
    assert_eq!(place.waits(&format!("{}.dead", place.queue), 1).await, 1);
    drop(listener);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_leaves_its_event_among_the_dead_fleet() {
    let (sandbox, place) = (Sandbox::new(Backend::Fleet).await, TestExchange::on(amqp_url()));
    let mut node = node(&sandbox, &place);
    let tries = sandbox.dir.path().join("tries");
    let fails = format!("cat >> {0}; echo >> {0}; exit 1", tries.display());
    let listener = node.consume_events(&place.queue, &["--topic", "user.activated", "--exec", &fails]).await;
    node.start();
    join(&node, "+919876543210").await;
    assert_eq!(place.waits(&format!("{}.dead", place.queue), 1).await, 1);
    let taken = std::fs::read_to_string(tries).unwrap();
    assert_eq!(taken.lines().filter(|line| line.contains("user.activated")).count(), 6, "once, and five times more");
    drop(listener);
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_in_a_fleet_listens_to_is_kept_for_a_retry() {
    let (sandbox, place) = (Sandbox::new(Backend::Fleet).await, TestExchange::on(amqp_url()));
    let mut node = node(&sandbox, &place).set("ENROLL__EVENTS__UNROUTABLE", "keep");
    node.start();
    join(&node, "+919876543210").await;
    let started = Instant::now();
    while node.log.all().iter().filter(|line| line.contains("no queue received an event")).count() < 4 {
        assert!(started.elapsed().as_secs() < 10, "{:#?}", node.log.all());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await; // and each is put aside
    let listener = node.consume_events(&place.queue, &[]).await;
    let retried = node.command(&["events", "retry", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8(retried.stdout).unwrap().trim(), r#"{"retried":4}"#);
    listener.wait_for(4).await;
    hears_of_all(&sandbox, &listener, Duration::from_secs(5)).await;
    drop(listener);
    place.remove().await;
}

/// A minute without RabbitMQ under twenty registrations a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_rabbitmq_loses_no_event_of_a_fleet() {
    let mut rabbit = OwnRabbit::launch();
    let (sandbox, place) = (Sandbox::new(Backend::Fleet).await, TestExchange::on(rabbit.url()));
    let mut node = node(&sandbox, &place);
    let listener = node.consume_events(&place.queue, &[]).await;
    node.start();
    let (node, joined) = (Arc::new(node), Arc::new(AtomicU32::new(0)));
    let load = {
        let (node, joined) = (Arc::clone(&node), Arc::clone(&joined));
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            let mut running = tokio::task::JoinSet::new();
            for number in 0..1_400_u32 {
                ticks.tick().await;
                let (node, joined) = (Arc::clone(&node), Arc::clone(&joined));
                running.spawn(async move {
                    join(&node, &format!("+9198{number:08}")).await;
                    joined.fetch_add(1, Ordering::Relaxed);
                });
            }
            running.join_all().await;
        })
    };
    tokio::time::sleep(Duration::from_secs(4)).await;
    rabbit.kill();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let without = joined.load(Ordering::Relaxed);
    assert!(without > 800, "registering went on without it: {without}");
    rabbit.start();
    load.await.unwrap();
    assert_eq!(joined.load(Ordering::Relaxed), 1_400);
    hears_of_all(&sandbox, &listener, Duration::from_mins(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_write_publishes_to_an_exchange_that_is_there_fleet() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let rabbit = OwnRabbit::launch();
    let place = TestExchange::on(rabbit.url());
    let (_connection, channel) = place.channel().await;
    // As an operator made it, with an argument of its own.
    let mut arguments = FieldTable::default();
    arguments.insert("alternate-exchange".into(), AMQPValue::LongString("amq.fanout".into()));
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(place.exchange.as_str().into(), ExchangeKind::Topic, durable, arguments).await.unwrap();
    bind_queue(&channel, &place, &place.queue, FieldTable::default()).await;
    rabbit.add_user("writer", "", ".*", "");
    rabbit.add_user("reader", "", "", ".*");
    let mut node = node(&sandbox, &place).set("AMQP_URL", &rabbit.url_of("writer"));
    node.start();
    join(&node, "+919876543210").await;
    assert_eq!(place.waits(&place.queue, 4).await, 4);
    let listener = node.set("AMQP_URL", &rabbit.url_of("reader"));
    let listener = listener.consume_events(&place.queue, &[]).await;
    assert_eq!(listener.wait_for(4).await.len(), 4, "a queue that is there is taken as it is");
}

async fn bind_queue(channel: &lapin::Channel, place: &TestExchange, queue: &str, arguments: FieldTable) {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), durable, arguments).await.unwrap();
    let (exchange, options) = (place.exchange.as_str().into(), QueueBindOptions::default());
    channel.queue_bind(queue.into(), exchange, "#".into(), options, FieldTable::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_refuses_repeats_nothing_to_the_others_fleet() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let rabbit = OwnRabbit::launch();
    let place = TestExchange::on(rabbit.url());
    let mut node = node(&sandbox, &place);
    node.start();
    join(&node, "+919876543210").await;
    let (_connection, channel) = place.channel().await;
    let exchange = place.exchange.as_str();
    let started = Instant::now();
    while node.log.all().iter().filter(|line| line.contains("no queue received an event")).count() < 4 {
        assert!(started.elapsed() < Duration::from_secs(20), "{exchange} is there by now");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bind_queue(&channel, &place, &place.queue, FieldTable::default()).await;
    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), AMQPValue::LongInt(1));
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    bind_queue(&channel, &place, "full", full).await;
    for n in 1..=5 {
        join(&node, &format!("+91987654321{n}")).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let came = place.waits(&place.queue, 20).await;
    // Twenty events; each that the full queue refused is tried anew after 2, 4 and 8 s, with nothing behind it.
    assert!((20..=20 + 5 * 3).contains(&came), "{came} came");
    let told = node.log.all().iter().filter(|line| line.contains("a queue refused an event")).count();
    assert!((1..=20).contains(&told), "each is told once: {told}");
    channel.queue_delete("full".into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    let started = Instant::now();
    let listener = node.consume_events(&place.queue, &[]).await;
    while activated(&listener).len() < 5 {
        assert!(started.elapsed() < Duration::from_secs(30), "every account's events come in the end, in order");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
