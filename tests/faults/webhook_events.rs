//! Events reach the webhook, whatever is stopped meanwhile.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::rabbitmq::{activated_by, all_are_told_of, hears_of_all, join};
use crate::support::{
    Backend,
    fake_provider::{Answers, Gateway},
    forwarder::Forwarder,
    process::{Node, Sandbox},
    rabbit::{OwnRabbit, TestExchange},
    servers::{Breakable as _, free_port},
};

pub fn posting_to(url: &str, node: Node) -> Node {
    node.set("ENROLL__EVENTS__WEBHOOK__URL", url)
        .set("ENROLL__EVENTS__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
}

/// What the receiver took, each event once, by its first coming.
fn posted(receiver: &Gateway) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let events = receiver.received().into_iter().map(|received| serde_json::from_str::<Value>(&received.body).unwrap());
    events.filter(|event| seen.insert(event["id"].to_string())).collect()
}

/// Waits until the receiver was told of every account, and of no other, in order.
pub async fn posts_of_all(sandbox: &Sandbox, receiver: &Gateway, patience: Duration) {
    all_are_told_of(sandbox, || activated_by(posted(receiver)), patience).await;
}

fn port_of(receiver: &Gateway) -> u16 {
    receiver.url.rsplit(':').next().unwrap().parse().unwrap()
}

/// Ten accounts a second, for so long.
fn load(node: &Arc<Node>, seconds: u32, joined: &Arc<AtomicU32>) -> tokio::task::JoinHandle<()> {
    let (node, joined) = (Arc::clone(node), Arc::clone(joined));
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let mut running = tokio::task::JoinSet::new();
        for number in 0..seconds * 10 {
            ticks.tick().await;
            let (node, joined) = (Arc::clone(&node), Arc::clone(&joined));
            running.spawn(async move {
                join(&node, &format!("+9198{number:08}")).await;
                joined.fetch_add(1, Ordering::Relaxed);
            });
        }
        running.join_all().await;
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_away_or_hangs_loses_no_event_embedded() {
    a_receiver_that_is_away_or_hangs_loses_no_event(Backend::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_away_or_hangs_loses_no_event_fleet() {
    a_receiver_that_is_away_or_hangs_loses_no_event(Backend::Fleet).await;
}

async fn a_receiver_that_is_away_or_hangs_loses_no_event(backend: Backend) {
    let sandbox = Sandbox::new(backend).await;
    let receiver = Gateway::start(Answers::With(204, "")).await;
    let forwarder = Forwarder::to(port_of(&receiver)).await;
    let mut node = posting_to(&format!("http://127.0.0.1:{}", forwarder.port), sandbox.node().unlimited());
    node.start();
    let (node, joined) = (Arc::new(node), Arc::new(AtomicU32::new(0)));
    let load = load(&node, 30, &joined);
    let pause = async |seconds: u64| tokio::time::sleep(Duration::from_secs(seconds)).await;
    pause(3).await;
    forwarder.turn_to(free_port());
    forwarder.cut_open_ones();
    pause(10).await;
    let without = joined.load(Ordering::Relaxed);
    assert!(without > 80, "registering went on without it: {without}");
    forwarder.turn_to(port_of(&receiver));
    pause(4).await;
    forwarder.swallow_open_ones(); // who waits for an answer waits ten seconds
    pause(4).await;
    receiver.answer(Answers::With(503, "later"));
    pause(3).await;
    receiver.answer(Answers::With(204, ""));
    load.await.unwrap();
    assert_eq!(joined.load(Ordering::Relaxed), 300);
    posts_of_all(&sandbox, &receiver, Duration::from_mins(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_posts_what_a_dead_one_had_begun_fleet() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let receiver = Gateway::start(Answers::Later).await;
    let node = || posting_to(&receiver.url, sandbox.node().unlimited());
    let (mut one, mut other) = (node(), node());
    one.start();
    for n in 0..20 {
        join(&one, &format!("+9198765432{n:02}")).await;
    }
    receiver.wait_for(1).await;
    one.kill();
    receiver.answer(Answers::With(204, ""));
    other.start();
    posts_of_all(&sandbox, &receiver, Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sink_goes_on_without_the_other_fleet() {
    let mut rabbit = OwnRabbit::launch();
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let place = TestExchange::on(rabbit.url());
    let receiver = Gateway::start(Answers::With(204, "")).await;
    let node = sandbox.node().unlimited().set("AMQP_URL", &place.url).set("ENROLL__EVENTS__EXCHANGE", &place.exchange);
    let mut node = posting_to(&receiver.url, node);
    let listener = node.consume_events(&place.queue, &[]).await;
    node.start();
    let login = async |mobile: &str| {
        let body = json!({"mobile": mobile, "password": "correct horse"});
        node.call(Method::POST, "/auth/login", None, body).await.is(200)
    };
    join(&node, "+919876543210").await;
    listener.wait_for(4).await;
    receiver.wait_for(4).await;

    receiver.answer(Answers::With(500, ""));
    login("+919876543210").await;
    listener.wait_for(5).await;
    receiver.wait_for(5).await; // and was refused
    receiver.answer(Answers::With(204, ""));
    login("+919876543210").await;
    receiver.wait_for(7).await; // the refused one once more

    rabbit.kill();
    join(&node, "+919876543211").await;
    receiver.wait_for(11).await;
    posts_of_all(&sandbox, &receiver, Duration::from_secs(10)).await;
    rabbit.start();
    hears_of_all(&sandbox, &listener, Duration::from_mins(1)).await;
    let started = Instant::now();
    while !String::from_utf8(node.command(&["events", "list"]).output().unwrap().stdout).unwrap().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "what both have is gone");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
