//! Whatever ends a trouble across the network, the next calls work again, without a restart.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, Executor as _};

use crate::support::{
    Backend,
    backend::postgres_url,
    forwarder::Forwarder,
    process::{Node, Sandbox},
    servers::{OwnRedis, redis_cli},
};

/// A node on SQLite and a Redis behind a forwarder.
async fn behind_forwarder(sandbox: &Sandbox, port: u16) -> (Node, Forwarder) {
    let forwarder = Forwarder::to(port).await;
    let redis = format!("redis://127.0.0.1:{}", forwarder.port);
    let mut node = sandbox.node().set("REDIS_URL", &redis).unlimited();
    node.start();
    (node, forwarder)
}

pub async fn register(node: &Node, n: u32) -> u16 {
    let body = json!({"mobile": format!("+9198765{n:05}"), "password": "correct horse"});
    let answer = node.call(Method::POST, "/auth/register", None, body).await;
    assert_ne!(answer.status, 500, "{answer:#?}");
    answer.status
}

/// Registers ten times a second until it works three times in a row; how long that took, and the number of 503s.
pub async fn until_well(node: &Node, first: u32) -> (Duration, u32) {
    let started = Instant::now();
    let (mut refused, mut well, mut well_since) = (0, 0, Duration::ZERO);
    for n in first.. {
        if register(node, n).await == 202 {
            if well == 0 {
                well_since = started.elapsed();
            }
            well += 1;
            if well == 3 {
                break;
            }
        } else {
            (refused, well) = (refused + 1, 0);
        }
        assert!(started.elapsed() < Duration::from_secs(15), "{refused} were refused, and it does not heal");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (well_since, refused)
}

pub async fn is_ready(node: &Node) -> bool {
    reqwest::get(format!("{}/readyz", node.base)).await.unwrap().status() == 200
}

pub async fn becomes(node: &Node, ready: bool) {
    let started = Instant::now();
    while is_ready(node).await != ready {
        assert!(started.elapsed() < Duration::from_secs(4), "it should be ready: {ready}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_failed_over_behind_an_address_heals() {
    let sandbox = Sandbox::new(Backend::SqliteRedis).await;
    let (old, new) = (OwnRedis::launch(), OwnRedis::launch());
    let (node, forwarder) = behind_forwarder(&sandbox, old.port).await;
    assert_eq!(register(&node, 0).await, 202);
    forwarder.turn_to(new.port);
    redis_cli(old.port, &["replicaof", "127.0.0.1", &new.port.to_string()]);
    let (took, refused) = until_well(&node, 1).await;
    assert!(refused <= 2 && took < Duration::from_secs(2), "{refused} refused, {took:?}");
    becomes(&node, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_to_redis_heals() {
    let sandbox = Sandbox::new(Backend::SqliteRedis).await;
    let redis = OwnRedis::launch();
    let (node, forwarder) = behind_forwarder(&sandbox, redis.port).await;
    assert_eq!(register(&node, 0).await, 202);
    forwarder.swallow_open_ones();
    let mut refused = 0;
    for second in 1..6 {
        refused += u32::from(register(&node, second).await != 202);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(refused <= 1, "{refused} refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_of_redis_that_was_wrong_for_a_while_heals() {
    let sandbox = Sandbox::new(Backend::SqliteRedis).await;
    let redis = OwnRedis::launch();
    redis_cli(redis.port, &["config", "set", "requirepass", "one"]);
    let mut node = sandbox.node().set("REDIS_URL", &format!("redis://:one@127.0.0.1:{}", redis.port)).unlimited();
    node.start();
    assert_eq!(register(&node, 0).await, 202);
    redis_cli(redis.port, &["-a", "one", "config", "set", "requirepass", "two"]);
    redis_cli(redis.port, &["-a", "two", "client", "kill", "type", "normal"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(register(&node, 1).await, 503);
    assert!(!is_ready(&node).await);
    redis_cli(redis.port, &["-a", "two", "config", "set", "requirepass", "one"]);
    let (took, _) = until_well(&node, 2).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    becomes(&node, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_is_not_ready_and_heals() {
    let sandbox = Sandbox::new(Backend::SqliteRedis).await;
    let redis = OwnRedis::launch();
    let mut node = sandbox.node().set("REDIS_URL", &redis.url()).unlimited();
    node.start();
    assert_eq!(register(&node, 0).await, 202);
    redis_cli(redis.port, &["config", "set", "maxmemory", "1"]);
    becomes(&node, false).await;
    assert_eq!(register(&node, 1).await, 503);
    redis_cli(redis.port, &["config", "set", "maxmemory", "0"]);
    let (took, _) = until_well(&node, 2).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    becomes(&node, true).await;
}

pub async fn sql(statements: &[String]) {
    let mut admin = sqlx::PgConnection::connect(&postgres_url()).await.unwrap();
    for statement in statements {
        admin.execute(sqlx::AssertSqlSafe(statement.clone())).await.unwrap();
    }
}

/// Cuts every connection to a database, so that new ones meet its new settings.
fn cut(name: &str) -> String {
    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
}

fn name_of(sandbox: &Sandbox) -> String {
    sandbox.database_url().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_postgres_is_an_outage_and_heals_fleet() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = sandbox.node().unlimited();
    node.start();
    assert_eq!(register(&node, 0).await, 202);
    let name = name_of(&sandbox);
    sql(&[format!("ALTER DATABASE {name} SET default_transaction_read_only = on"), cut(&name)]).await;
    becomes(&node, false).await;
    for n in 1..10 {
        assert_eq!(register(&node, n).await, 503);
    }
    sql(&[format!("ALTER DATABASE {name} RESET default_transaction_read_only")]).await;
    let (took, _) = until_well(&node, 10).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    becomes(&node, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_opens_no_connection_is_an_outage_and_heals_fleet() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let name = name_of(&sandbox);
    let role = format!("{name}_role");
    sql(&[format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'x'")]).await;
    let url = sandbox.database_url().replacen("postgres@", &format!("{role}@"), 1);
    let mut node = sandbox.node().set("DATABASE_URL", &url).unlimited();
    node.start();
    assert_eq!(register(&node, 0).await, 202);
    let mut n = 1;
    for (breaks, mends) in [
        (format!("ALTER ROLE {role} NOLOGIN"), format!("ALTER ROLE {role} LOGIN")),
        (
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
        ),
        (
            format!("ALTER ROLE {role} NOSUPERUSER CONNECTION LIMIT 0"),
            format!("ALTER ROLE {role} SUPERUSER CONNECTION LIMIT -1"),
        ),
    ] {
        sql(&[breaks.clone(), cut(&name)]).await;
        becomes(&node, false).await;
        assert_eq!(register(&node, n).await, 503, "{breaks}");
        sql(&[mends]).await;
        let (took, _) = until_well(&node, n + 1).await;
        assert!(took < Duration::from_secs(2), "{breaks}: {took:?}");
        becomes(&node, true).await;
        n += 100;
    }
    drop(node);
    drop(sandbox); // the role owns what is in its database
    sql(&[format!("DROP ROLE {role}")]).await;
}
