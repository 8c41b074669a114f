//! The same contracts over a real Redis Cluster, and over a server that sentinels watch.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use enroll::{codes::RedisCodes, limits::RedisLimits, redis::RedisClient};

use crate::{
    codes::{a_code_store_keeps_the_contract, only_wrong_attempts_count_for_the_client},
    limits::a_limiter_keeps_the_contract,
    real_redis::redis_at,
    support::servers::{free_port, wait_for_port},
};

/// A redis-server with its own settings.
struct Server {
    port: u16,
    dir: tempfile::TempDir,
    child: Child,
}

impl Server {
    fn launch(arguments: &[&str]) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let port_text = port.to_string();
        let child = Command::new("redis-server")
            .args(arguments)
            .args(["--port", &port_text, "--bind", "127.0.0.1", "--save", ""])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        wait_for_port(port);
        Self { port, dir, child }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn answers_within(redis: &RedisClient, timeout: Duration) {
    let started = Instant::now();
    while let Err(error) = redis.ping().await {
        assert!(started.elapsed() < timeout, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn keeps_the_contracts(redis: &RedisClient) {
    a_code_store_keeps_the_contract(Arc::new(RedisCodes::new(redis.clone()))).await;
    a_limiter_keeps_the_contract(Arc::new(RedisLimits::new(redis.clone()))).await;
    only_wrong_attempts_count_for_the_client(redis.clone()).await;
}

#[tokio::test]
async fn a_redis_cluster_keeps_the_contracts() {
    let nodes: Vec<Server> = (0..3).map(|_| Server::launch(&["--cluster-enabled", "yes"])).collect();
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]).args(&addresses).args(["--cluster-replicas", "0", "--cluster-yes"]);
    let created = create.output().unwrap();
    assert!(created.status.success(), "{created:?}");
    let redis = redis_at(&format!("redis+cluster://{}", addresses.join(",")));
    answers_within(&redis, Duration::from_secs(10)).await;
    // Its slots are known everywhere a moment later.
    let started = Instant::now();
    while redis.run::<i64>(redis::cmd("DEL").arg("a")).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    keeps_the_contracts(&redis).await;
}

#[tokio::test]
async fn a_redis_under_sentinels_keeps_the_contracts_over_a_failover() {
    let mut master = Server::launch(&[]);
    let master_port = master.port.to_string();
    let _replica = Server::launch(&["--replicaof", "127.0.0.1", &master_port]);
    let config = master.dir.path().join("sentinel.conf");
    let settings = format!(
        "sentinel monitor mymaster 127.0.0.1 {master_port} 1\nsentinel down-after-milliseconds mymaster 500\n\
         sentinel failover-timeout mymaster 3000\n"
    );
    std::fs::write(&config, settings).unwrap();
    let sentinel = Server::launch(&[config.to_str().unwrap(), "--sentinel"]);
    let redis = redis_at(&format!("redis+sentinel://127.0.0.1:{}/mymaster/0", sentinel.port));
    answers_within(&redis, Duration::from_secs(10)).await;
    keeps_the_contracts(&redis).await;

    tokio::time::sleep(Duration::from_secs(2)).await; // until the sentinel knows the replica
    master.kill();
    tokio::time::sleep(Duration::from_millis(200)).await;
    answers_within(&redis, Duration::from_secs(30)).await;
    // The new master takes writes once it is promoted.
    let started = Instant::now();
    while redis.run::<i64>(redis::cmd("INCR").arg("a")).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    redis.run::<String>(&redis::cmd("FLUSHALL")).await.unwrap();
    keeps_the_contracts(&redis).await;
}
