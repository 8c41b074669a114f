//! How soon messages leave, and how fast a backlog drains.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sqlx::{Connection as _, Executor as _};

use crate::{
    fleet_node,
    load, register,
    support::{
        Backend,
        fake_provider::{Answers, Gateway},
        process::{Node, Sandbox},
        rabbit::{TestExchange, amqp_url},
    },
};

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const BACKLOG: i64 = 50_000;

fn sending(sandbox: &Sandbox, gateway: &Gateway) -> Node {
    fleet_node(sandbox)
        .set("ENROLL__NOTIFY__SMS", "webhook,console")
        .set("ENROLL__NOTIFY__WEBHOOK__URL", &gateway.url)
        .set("ENROLL__NOTIFY__WEBHOOK__SECRET", SECRET)
        .set("ENROLL__CODES__REGISTRATION_SMS__TTL", "3600")
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// From the 202 to the provider's call; and what a provider that hangs does to registering.
pub async fn latency() {
    const EACH: usize = 300;
    let gateway = Gateway::start(Answers::With(204, "")).await;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = sending(&sandbox, &gateway);
    node.start();
    let answered: Vec<Instant> = tokio::task::block_in_place(|| {
        let timed = |number| {
            load::once(&node, &register(number), 202);
            let at = Instant::now();
            std::thread::sleep(Duration::from_millis(5));
            at
        };
        (0..EACH).map(timed).collect()
    });
    let mut called = HashMap::new();
    for received in gateway.wait_for(EACH).await {
        let at = received.body.find("+9198").unwrap() + 5;
        called.insert(received.body[at..at + 8].parse::<usize>().unwrap(), received.at);
    }
    let waits = answered.iter().enumerate().map(|(number, answered)| {
        // The worker may be faster than the answer is read.
        called[&number].saturating_duration_since(*answered).as_secs_f64() * 1_000.0
    });
    let waits = sorted(waits.collect());
    let (p50, p99) = (percentile(&waits, 50), percentile(&waits, 99));
    crate::report::line(format!("202 to the provider's call: p50 {p50:.1} ms, p99 {p99:.1} ms (goals 10, 50)"));

    let mut p99s = Vec::new();
    for (first, answers) in [(EACH, Answers::With(204, "")), (2 * EACH, Answers::Never)] {
        gateway.answer(answers);
        let took = tokio::task::block_in_place(|| {
            let timed = |number| {
                let started = Instant::now();
                load::once(&node, &register(number), 202);
                started.elapsed().as_secs_f64() * 1_000.0
            };
            (first..first + EACH).map(timed).collect()
        });
        p99s.push(percentile(&sorted(took), 99));
    }
    crate::report::line(format!("register p99: {:.1} ms with a healthy provider, {:.1} ms with one that hangs", p99s[0], p99s[1]));
}

/// Messages and events a second out of a backlog of 50,000 each.
pub async fn drain() {
    let gateway = Gateway::start(Answers::With(503, "")).await;
    let (sandbox, place) = (Sandbox::new(Backend::Fleet).await, TestExchange::on(amqp_url()));
    let with_events = |node: Node| {
        let node = node.set("AMQP_URL", &place.url).set("ENROLL__EVENTS__EXCHANGE", &place.exchange);
        node.set("RUST_LOG", "warn,enroll::events=info") // a listener says when it listens
    };
    let mut node = with_events(sending(&sandbox, &gateway)).set("ENROLL__NOTIFY__SMS", "webhook");
    drop(node.consume_events(&place.queue, &[]).await); // its queue stays, and is bound
    node.start();
    tokio::task::block_in_place(|| load::once(&node, &register(0), 202));
    gateway.wait_for(1).await;
    node.kill();

    let mut connection = sqlx::PgConnection::connect(&sandbox.database_url()).await.unwrap();
    copy_the_queued(&mut connection, BACKLOG).await;
    gateway.answer(Answers::With(204, ""));
    let started = Instant::now();
    node.start();
    until(&mut connection, "SELECT count(*) = 0 FROM outbox WHERE state = 'queued'").await;
    crate::report::line(format!("messages drained: {:.0}/s", BACKLOG as f64 / started.elapsed().as_secs_f64()));
    node.kill();

    let people = (0..BACKLOG / 2).map(|n| format!("OFF-{n},+9197{n:08},,,"));
    let header = std::iter::once("login_id,mobile,email,name,locale".to_owned());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), header.chain(people).collect::<Vec<_>>().join("\n")).unwrap();
    let done = node.command(&["users", "import", &file.path().display().to_string()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let started = Instant::now();
    node.start();
    until(&mut connection, "SELECT count(*) = 0 FROM events").await;
    crate::report::line(format!("events drained: {:.0}/s", BACKLOG as f64 / started.elapsed().as_secs_f64()));
    place.remove().await;
}

/// Messages a second, the first 15,000 out of a backlog.
pub async fn messages_of_a_backlog(backlog: i64) -> f64 {
    let gateway = Gateway::start(Answers::With(503, "")).await;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = sending(&sandbox, &gateway).set("ENROLL__NOTIFY__SMS", "webhook");
    node.start();
    tokio::task::block_in_place(|| load::once(&node, &register(0), 202));
    gateway.wait_for(1).await;
    node.kill();
    let mut connection = sqlx::PgConnection::connect(&sandbox.database_url()).await.unwrap();
    copy_the_queued(&mut connection, backlog).await;
    gateway.answer(Answers::With(204, ""));
    let started = Instant::now();
    node.start();
    until(&mut connection, "SELECT count(*) >= 15000 FROM outbox WHERE ended_at IS NOT NULL").await;
    15_000.0 / started.elapsed().as_secs_f64()
}

/// So many copies of the message that waits.
async fn copy_the_queued(connection: &mut sqlx::PgConnection, copies: i64) {
    let insert = format!(
        "INSERT INTO outbox (verification_id, generation, phantom, body, state, destination, attempts, due_at, deadline)
         SELECT o.verification_id, o.generation, o.phantom, o.body, o.state, o.destination, 0, now(), o.deadline
         FROM (SELECT * FROM outbox WHERE state = 'queued' LIMIT 1) o, generate_series(1, {copies})"
    );
    for statement in [&insert, "ANALYZE", "CHECKPOINT"] {
        connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap();
    }
}

async fn until(connection: &mut sqlx::PgConnection, condition: &'static str) {
    let started = Instant::now();
    while !sqlx::query_scalar::<_, bool>(condition).fetch_one(&mut *connection).await.unwrap() {
        assert!(started.elapsed() < Duration::from_mins(3), "not yet: {condition}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
