//! One notion of health: every part through the same troubles, with the same questions. Each test prints its rows of
//! the table in `docs/health.md`: what requests are answered meanwhile, what `/readyz` says, how long after the
//! trouble's end all is well, and whether anything that was answered with 202 is lost.

use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    healing::{becomes, is_ready, register, until_well},
    support::{
        Backend,
        backend::RawConnection,
        forwarder::Forwarder,
        process::{Node, Sandbox},
        rabbit::{OwnRabbit, TestExchange},
        servers::{Breakable, OwnPostgres, OwnRedis, free_port, redis_cli},
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Killed,
    Frozen,
    HalfOpen,
    ReadOnly,
    Refused,
    Full,
    Slow,
    NameGone,
}

use Trouble::{Frozen, Full, HalfOpen, Killed, NameGone, ReadOnly, Refused, Slow};

const ALL: [Trouble; 8] = [Killed, Frozen, HalfOpen, ReadOnly, Refused, Full, Slow, NameGone];
/// A trouble lasts so long.
const LASTS: Duration = Duration::from_secs(3);
/// Longer than the time limit of a call: at the limit itself, each would go its own way.
const SLOW: Duration = Duration::from_millis(1_500);

/// A dependency of a node, behind a forwarder and under a name of its own.
#[allow(async_fn_in_trait, reason = "for these tests alone")]
trait Part {
    fn name(&self) -> &'static str;
    fn forwarder(&self) -> &Forwarder;
    fn server(&mut self) -> &mut dyn Breakable;
    /// The troubles that are this part's alone: a setting of the server's.
    async fn set(&self, trouble: Trouble, on: bool);
    /// Whether requests need it.
    fn is_needed(&self) -> bool {
        true
    }
    /// All is well so long after the trouble's end.
    fn well_within(&self) -> Duration {
        Duration::from_secs(3)
    }
}

/// The name of the part's host, in a file of hosts that the node alone sees.
struct Hosts(tempfile::NamedTempFile);

const HOST: &str = "part.test";

impl Hosts {
    fn new() -> Self {
        let hosts = Self(tempfile::NamedTempFile::new().unwrap());
        hosts.name(true);
        hosts
    }

    fn name(&self, resolves: bool) {
        let line = if resolves { format!("127.0.0.1 {HOST}\n") } else { String::new() };
        std::fs::write(self.0.path(), format!("127.0.0.1 localhost\n{line}")).unwrap();
    }
}

async fn begin(part: &mut impl Part, hosts: &Hosts, trouble: Trouble) {
    match trouble {
        Killed => part.server().kill(),
        Frozen => part.server().freeze(),
        HalfOpen => part.forwarder().swallow_open_ones(),
        Slow => part.forwarder().delay(SLOW),
        NameGone => {
            hosts.name(false);
            part.forwarder().cut_open_ones();
        }
        ReadOnly | Refused | Full => {
            part.set(trouble, true).await;
            if trouble != Full {
                part.forwarder().cut_open_ones();
            }
        }
    }
}

async fn end(part: &mut impl Part, hosts: &Hosts, trouble: Trouble) {
    match trouble {
        Killed => part.server().start(),
        Frozen => part.server().thaw(),
        HalfOpen => {}
        Slow => part.forwarder().delay(Duration::ZERO),
        NameGone => hosts.name(true),
        ReadOnly | Refused | Full => part.set(trouble, false).await,
    }
}

/// Puts the part through the troubles, and prints the rows.
async fn survives(part: &mut impl Part, node: &mut Node, hosts: &Hosts, troubles: &[Trouble]) -> u32 {
    node.start();
    becomes(node, true).await;
    until_well(node, 99_000).await;
    let mut number = 0;
    println!("| part | trouble | requests | /readyz | well after | lost |");
    for trouble in troubles {
        assert_eq!(register(node, number).await, 202, "{trouble:?}: before it: {:#?}", node.log.all());
        let mut accepted = vec![number];
        begin(part, hosts, *trouble).await;
        let (started, mut answers, mut last) = (Instant::now(), BTreeSet::new(), 0);
        while started.elapsed() < LASTS {
            number += 1;
            last = register(node, number).await;
            answers.insert(last);
            if last == 202 {
                accepted.push(number);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let says_ready = is_ready(node).await;
        end(part, hosts, *trouble).await;
        let (took, _) = until_well(node, number + 1).await;
        becomes(node, true).await;
        number += 200; // what `until_well` used
        let mut missing = 0;
        for accepted in &accepted {
            missing += u32::from(!is_sent(node, *accepted).await);
        }
        println!("| {} | {trouble:?} | {answers:?} | {} | {took:.1?} | {missing} |", part.name(), if says_ready { 200 } else { 503 });
        assert!(answers.iter().all(|status| [202, 503].contains(status)), "{trouble:?}: {answers:?}");
        assert_eq!(says_ready, last == 202, "{trouble:?}: /readyz says what is so: {answers:?}");
        assert!(part.is_needed() || answers == BTreeSet::from([202]), "{trouble:?}: requests do without it");
        assert!(took < part.well_within(), "{trouble:?}: {took:?}");
        assert_eq!(missing, 0, "{trouble:?}");
        number += 1;
    }
    number
}

/// Whether a registration's message goes out.
async fn is_sent(node: &Node, number: u32) -> bool {
    let mobile = format!("+9198765{number:05}");
    let started = Instant::now();
    while node.codes(&mobile).is_empty() {
        if started.elapsed() > Duration::from_secs(20) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

struct Postgres {
    server: OwnPostgres,
    forwarder: Forwarder,
}

impl Part for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    fn server(&mut self) -> &mut dyn Breakable {
        &mut self.server
    }

    async fn set(&self, trouble: Trouble, on: bool) {
        let statement = match (trouble, on) {
            (ReadOnly, true) => "ALTER DATABASE enroll SET default_transaction_read_only = on",
            (ReadOnly, false) => "ALTER DATABASE enroll RESET default_transaction_read_only",
            (Refused, true) => "ALTER ROLE enroll PASSWORD 'another'",
            (Refused, false) => "ALTER ROLE enroll PASSWORD 'secret'",
            (_, true) => "ALTER ROLE enroll CONNECTION LIMIT 0",
            (_, false) => "ALTER ROLE enroll CONNECTION LIMIT -1",
        };
        RawConnection::open(&self.server.url()).await.execute(statement).await;
        if on {
            self.forwarder.cut_open_ones();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_in_every_trouble() {
    let server = OwnPostgres::launch();
    server.ask_for_passwords("enroll");
    let mut admin = RawConnection::open(&server.url()).await;
    admin.execute("CREATE ROLE enroll LOGIN PASSWORD 'secret'").await;
    admin.execute("CREATE DATABASE enroll OWNER enroll").await;
    let forwarder = Forwarder::to(server.port).await;
    let hosts = Hosts::new();
    let sandbox = Sandbox::new(Backend::SqliteRedis).await;
    let url = format!("postgres://enroll:secret@{HOST}:{}/enroll", forwarder.port);
    let mut node = sandbox.node().set("DATABASE_URL", &url).unlimited().with_hosts(hosts.0.path());
    let mut part = Postgres { server, forwarder };
    survives(&mut part, &mut node, &hosts, &ALL).await;
}

struct Redis {
    name: &'static str,
    server: OwnRedis,
    forwarder: Forwarder,
    other: OwnRedis,
}

impl Part for Redis {
    fn name(&self) -> &'static str {
        self.name
    }

    fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    fn server(&mut self) -> &mut dyn Breakable {
        &mut self.server
    }

    fn well_within(&self) -> Duration {
        // A restarted server of a cluster takes writes after two seconds.
        Duration::from_secs(if self.name == "Redis Cluster" { 5 } else { 3 })
    }

    async fn set(&self, trouble: Trouble, on: bool) {
        let other = self.other.port.to_string();
        let port = self.server.port;
        match (trouble, on) {
            // A cluster's servers and a watched one are made read-only by their replicas' absence.
            (ReadOnly, _) if self.name != "Redis" => {
                redis_cli(port, &["-a", "one", "config", "set", "min-replicas-to-write", if on { "1" } else { "0" }]);
            }
            (ReadOnly, true) => redis_cli(port, &["-a", "one", "replicaof", "127.0.0.1", &other]),
            (ReadOnly, false) => redis_cli(port, &["-a", "one", "replicaof", "no", "one"]),
            (Refused, true) => redis_cli(port, &["-a", "one", "config", "set", "requirepass", "two"]),
            (Refused, false) => redis_cli(port, &["-a", "two", "config", "set", "requirepass", "one"]),
            (_, true) => redis_cli(port, &["-a", "one", "config", "set", "maxmemory", "1"]),
            (_, false) => redis_cli(port, &["-a", "one", "config", "set", "maxmemory", "0"]),
        }
    }
}

impl Redis {
    async fn new(name: &'static str, more: &[&str]) -> Self {
        let port = free_port();
        let forwarder = Forwarder::to(port).await;
        let announced = forwarder.port.to_string();
        let mut arguments = vec!["--requirepass", "one"];
        arguments.extend(more);
        if name == "Redis Cluster" {
            arguments.extend(["--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", &announced]);
        }
        Self { name, server: OwnRedis::launch_at(port, &arguments), forwarder, other: OwnRedis::launch() }
    }

    async fn in_every_trouble(mut self, url: &str, troubles: &[Trouble]) {
        let (hosts, sandbox) = (Hosts::new(), Sandbox::new(Backend::Embedded).await);
        let mut node = sandbox.node().set("REDIS_URL", url).unlimited().with_hosts(hosts.0.path());
        survives(&mut self, &mut node, &hosts, troubles).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_in_every_trouble() {
    let redis = Redis::new("Redis", &[]).await;
    let url = format!("redis://:one@{HOST}:{}", redis.forwarder.port);
    redis.in_every_trouble(&url, &ALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_cluster_in_every_trouble() {
    let redis = Redis::new("Redis Cluster", &["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]).await;
    redis_cli(redis.server.port, &["-a", "one", "cluster", "addslotsrange", "0", "16383"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let url = format!("redis+cluster://:one@{HOST}:{}", redis.forwarder.port);
    // Its servers tell their addresses: the name is needed once.
    redis.in_every_trouble(&url, &ALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_sentinels_watch_in_every_trouble() {
    let redis = Redis::new("Redis Sentinel", &[]).await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("sentinel.conf");
    let watched = format!(
        "sentinel monitor mymaster 127.0.0.1 {} 1\nsentinel auth-pass mymaster one\n",
        redis.forwarder.port
    );
    std::fs::write(&config, watched).unwrap();
    let sentinel = OwnRedis::launch_at(free_port(), &[config.to_str().unwrap(), "--sentinel"]);
    let url = format!("redis+sentinel://:one@127.0.0.1:{}/mymaster/0", sentinel.port);
    let troubles: Vec<Trouble> = ALL.into_iter().filter(|trouble| *trouble != NameGone).collect();
    redis.in_every_trouble(&url, &troubles).await; // the sentinel names an address
}

struct Rabbit {
    server: OwnRabbit,
    forwarder: Forwarder,
}

impl Part for Rabbit {
    fn name(&self) -> &'static str {
        "RabbitMQ"
    }

    fn is_needed(&self) -> bool {
        false
    }

    fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    fn server(&mut self) -> &mut dyn Breakable {
        &mut self.server
    }

    async fn set(&self, trouble: Trouble, on: bool) {
        match (trouble, on) {
            (ReadOnly, true) => self.server.control(&["set_permissions", "enroll", ".*", "", ".*"]),
            (ReadOnly, false) => self.server.control(&["set_permissions", "enroll", ".*", ".*", ".*"]),
            (Refused, true) => self.server.control(&["change_password", "enroll", "another"]),
            (Refused, false) => self.server.control(&["change_password", "enroll", "enroll"]),
            (_, true) => self.server.control(&["set_vm_memory_high_watermark", "absolute", "1"]),
            (_, false) => self.server.control(&["set_vm_memory_high_watermark", "0.4"]),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_in_every_trouble() {
    let server = OwnRabbit::launch();
    server.add_user("enroll", ".*", ".*", ".*");
    let place = TestExchange::on(server.url());
    let forwarder = Forwarder::to(server.port()).await;
    let (hosts, sandbox) = (Hosts::new(), Sandbox::new(Backend::Embedded).await);
    let url = format!("amqp://enroll:enroll@{HOST}:{}/%2f", forwarder.port);
    let node = sandbox.node().set("ENROLL__EVENTS__EXCHANGE", &place.exchange).unlimited();
    drop(node.set("AMQP_URL", &place.url).consume_events(&place.queue, &[]).await); // makes the queue
    let node = sandbox.node().set("ENROLL__EVENTS__EXCHANGE", &place.exchange).unlimited();
    let mut node = node.set("AMQP_URL", &url).with_hosts(hosts.0.path());
    let mut part = Rabbit { server, forwarder };
    // The kill comes last: a quorum queue that is seconds old does not survive one in RabbitMQ 3.10.
    let troubles: Vec<Trouble> = ALL.into_iter().rev().collect();
    survives(&mut part, &mut node, &hosts, &troubles).await;
    let accepted = node.console.all().iter().filter(|line| line.contains("SMS to")).count();
    let accepted = u32::try_from(accepted).unwrap();
    let mut came = 0;
    for _ in 0..3 {
        came = place.waits(&place.queue, accepted).await; // twenty seconds: a quorum queue takes its time to come back
    }
    assert!(came >= accepted, "no event is lost: {came} of {accepted}: {:#?}", node.log.all());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_in_its_troubles() {
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let mut node = sandbox.node().unlimited();
    node.start();
    becomes(&node, true).await;
    assert_eq!(register(&node, 0).await, 202);
    // Frozen: another program holds its lock.
    let mut held = RawConnection::open(&sandbox.database_url()).await;
    held.execute("BEGIN EXCLUSIVE").await;
    let started = Instant::now();
    while started.elapsed() < LASTS {
        assert_eq!(register(&node, 1).await, 503);
    }
    assert!(!is_ready(&node).await);
    held.release().await;
    let (took, _) = until_well(&node, 2).await;
    println!("| SQLite | Frozen | {{503}} | 503 | {took:.1?} | 0 |");
    assert!(took < Duration::from_secs(3), "{took:?}");
    // Full: no more may be written to its files.
    let limit = |bytes: &str| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &node.pid().to_string(), &format!("--fsize={bytes}:unlimited")]);
        assert!(prlimit.status().unwrap().success());
    };
    limit("4096");
    becomes(&node, false).await;
    assert_eq!(register(&node, 500).await, 503);
    limit("unlimited");
    let (took, _) = until_well(&node, 501).await;
    becomes(&node, true).await;
    println!("| SQLite | Full | {{503}} | 503 | {took:.1?} | 0 |");
    assert!(took < Duration::from_secs(3), "{took:?}");
}
