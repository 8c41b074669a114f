//! PgBouncer before PostgreSQL, in both modes.

use std::time::Duration;

use serde_json::json;

use crate::{
    healing::{becomes, register, until_well},
    support::{
        Backend, Options, TestApp,
        backend::Database,
        process::{Node, Sandbox},
        servers::{Breakable as _, OwnPgBouncer},
    },
};

/// A fleet's node whose database is behind a pooler of this mode, by no other setting than its URL.
async fn unaware(mode: &str) -> (Sandbox, OwnPgBouncer, Node) {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let database = sandbox.database.as_ref().unwrap();
    let pooler = OwnPgBouncer::launch(mode, &database.url);
    let node = sandbox.node().set("DATABASE_URL", &pooler.url(&database.url)).unlimited();
    (sandbox, pooler, node)
}

fn run(node: &Node, command: &str) -> (bool, String) {
    let done = node.command(&[command]).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_session_mode_needs_no_setting_fleet() {
    let (_sandbox, _pooler, mut node) = unaware("session").await;
    let (is_good, said) = run(&node, "check-config");
    assert!(is_good, "{said}");
    node.start();
    for n in 0..20 {
        assert_eq!(register(&node, n).await, 202);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_is_noticed_fleet() {
    let (_sandbox, _pooler, node) = unaware("transaction").await;
    for command in ["check-config", "serve"] {
        let (is_good, said) = run(&node, command);
        assert!(!is_good && said.contains("ENROLL__DATABASE__POOLED=true"), "{command}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_together_through_a_pooler_alone_fleet() {
    let (_sandbox, _pooler, node) = unaware("transaction").await;
    let mut one = node.set("ENROLL__DATABASE__POOLED", "true");
    let migrations: Vec<_> = (0..4).map(|_| one.command(&["migrate"]).spawn().unwrap()).collect();
    for mut migration in migrations {
        assert!(migration.wait().unwrap().success());
    }
    one.start();
    assert_eq!(register(&one, 1).await, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_behind_a_pooler_needs_the_direct_url_fleet() {
    let (sandbox, _pooler, node) = unaware("transaction").await;
    let node = node.set("ENROLL__DATABASE__POOLED", "true").set("REDIS_URL", "");
    let mut first = node.set("ENROLL__SERVER__SINGLE_NODE", "true");
    let (is_good, said) = run(&first, "check-config");
    assert!(!is_good && said.contains("DATABASE_DIRECT_URL"), "{said}");
    first = first.set("DATABASE_DIRECT_URL", &sandbox.database_url());
    first.start();
    let second = sandbox.node().set("REDIS_URL", "").set("ENROLL__SERVER__SINGLE_NODE", "true");
    let (is_good, said) = run(&second, "serve");
    assert!(!is_good && said.contains("another node"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_restarts_heals_pooled() {
    let mut sandbox = Sandbox::new(Backend::Pooled).await;
    let mut node = sandbox.node().unlimited();
    node.start();
    assert_eq!(register(&node, 0).await, 202);
    let pooler = sandbox.database.as_mut().and_then(|database: &mut Database| database.pooler.as_mut()).unwrap();
    pooler.kill();
    becomes(&node, false).await;
    assert_eq!(register(&node, 1).await, 503);
    pooler.start();
    let (took, _) = until_well(&node, 2).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    becomes(&node, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_keep_their_time_limit_behind_a_pooler_pooled() {
    let app = TestApp::with(Backend::Pooled, Options::unlimited()).await;
    let held = app.lock_database().await;
    let body = json!({"mobile": "9876543210", "password": "correct horse"});
    let answer = app.post("/auth/register", body.clone()).await;
    answer.is_problem(503, "overloaded"); // 55P03: the server gave up before the client
    held.release().await;
    app.post("/auth/register", body).await.is(202);
}
