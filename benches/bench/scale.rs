//! Many accounts, long queues, several nodes: each beside the same with few. Run by name only, for they take minutes.

use std::time::{Duration, Instant};

use enroll::{
    codes::{CodeKey, CodeStore as _, LiveCode, RedisCodes},
    domain::{Clock as _, DestinationHash, Purpose, SystemClock, Timestamp},
    redis::{RedisClient, RedisUrl},
    store::{Store, StoreSettings},
};
use sqlx::{Connection as _, Executor as _};

use crate::{
    CLIENTS, ROUNDS, field, fleet_node,
    load::{self, Load, Request},
    median, refresh, register,
    report::{self, row},
    support::{
        Backend,
        process::{Node, Sandbox},
        servers::OwnRedis,
    },
    verify, yardsticks,
};

/// The accounts that are asked about, spread over all.
const SAMPLE: usize = 2_000;
/// The registrations that are proven in a round.
const PROVEN: usize = 1_500;

/// A service with so many accounts, each with a session.
struct Service {
    node: Node,
    _sandbox: Sandbox,
    accounts: usize,
    ids: Vec<String>,
    codes: Vec<String>,
    /// What the accounts of the sample were answered last.
    opened: Vec<String>,
}

impl Service {
    async fn with_accounts(accounts: usize) -> Self {
        let sandbox = Sandbox::new(Backend::Fleet).await;
        let mut node = fleet_node(&sandbox).set("ENROLL__CODES__REGISTRATION_SMS__TTL", "3600");
        node.start();
        let url = sandbox.database_url();
        let total = ROUNDS * PROVEN;
        Load::exactly(&node, CLIENTS, 0..total, 202, register);
        let (codes, ids) = (yardsticks::codes(&node, total).await, yardsticks::verification_ids(&url, total).await);
        fill(&url, accounts).await;
        let mut new = Self { node, _sandbox: sandbox, accounts, ids, codes, opened: Vec::new() };
        let logins = |number| new.log_in(number * (accounts / SAMPLE));
        new.opened = Load::answered(&new.node, CLIENTS, SAMPLE, 200, logins).1;
        new
    }

    fn log_in(&self, number: usize) -> Request {
        let person = number % self.accounts;
        let body = format!(r#"{{"email":"person{person}@example.com","password":"correct horse battery"}}"#);
        Request::post("/api/v1/auth/login", &body)
    }

    fn logins(&self) -> Load {
        let spread = |number: usize| self.log_in(number.wrapping_mul(7_919_999));
        Load::run(&self.node, CLIENTS, Duration::from_secs(4), 1, 200, spread)
    }

    fn me(&self) -> Load {
        let tokens: Vec<String> = self.opened.iter().map(|opened| field(opened, "access_token")).collect();
        let me = |number: usize| Request::get("/api/v1/users/me", &tokens[number % SAMPLE]);
        Load::run(&self.node, CLIENTS, Duration::from_secs(4), 0, 200, me)
    }

    /// Each session of the sample once.
    fn refreshes(&mut self) -> Load {
        let last = std::mem::take(&mut self.opened);
        let refresh = |number: usize| refresh(&last[number]);
        let (load, opened) = Load::answered(&self.node, CLIENTS, SAMPLE, 200, refresh);
        self.opened = opened;
        load
    }

    fn verifies(&self, round: usize) -> Load {
        Load::exactly(&self.node, CLIENTS, round * PROVEN..(round + 1) * PROVEN, 200, |number| {
            verify(&self.ids[number], &self.codes[number])
        })
    }
}

/// Accounts and sessions in bulk: the indexes are made afterwards, which is many times as fast.
async fn fill(url: &str, accounts: usize) {
    let mut database = sqlx::PgConnection::connect(url).await.unwrap();
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM registrations ORDER BY mobile LIMIT 1")
        .fetch_one(&mut database)
        .await
        .unwrap();
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename IN ('users', 'sessions') AND indexname NOT LIKE '%pkey'",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let drops = indexes.iter().map(|(name, _)| format!("DROP INDEX {name}"));
    let inserts = [
        "SET statement_timeout = 0".to_owned(),
        "SET synchronous_commit = off".to_owned(),
        "SET maintenance_work_mem = '512MB'".to_owned(),
        "ALTER TABLE sessions DISABLE TRIGGER ALL".to_owned(),
        format!(
            "INSERT INTO users (id, email, email_key, email_verified, mobile_verified, name, password_hash, epoch,
                session_opened_at, created_at, updated_at)
             SELECT gen_random_uuid(), 'person' || n || '@example.com', 'person' || n || '@example.com', true, false,
                'Person ' || n, '{hash}', 0, date_trunc('hour', now()), now(), now() FROM generate_series(0, {accounts} - 1) n"
        ),
        "INSERT INTO sessions (id, user_id, counter, used_counter, salt, epoch, ip, created_at, rotated_at, ends_at,
            expires_at)
         SELECT gen_random_uuid(), id, 0, 0, '\\x0011223344556677', 0, '203.0.113.9', now(), now(),
            now() + interval '7 days', now() + interval '30 days' FROM users"
            .to_owned(),
        "ALTER TABLE sessions ENABLE TRIGGER ALL".to_owned(),
    ];
    let rest = ["VACUUM ANALYZE", "CHECKPOINT"].map(str::to_owned);
    let made = indexes.iter().map(|(_, definition)| definition.clone());
    for statement in drops.chain(inserts).chain(made).chain(rest) {
        database.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
}

/// The same calls with ten million accounts and with ten thousand, in turn.
pub async fn accounts() {
    let mut few = Service::with_accounts(10_000).await;
    let started = Instant::now();
    let mut many = Service::with_accounts(10_000_000).await;
    report::line(format!("10,000,000 accounts with a session each: made in {:.0} s", started.elapsed().as_secs_f64()));
    let mut both = |name: &str, step: &mut dyn FnMut(&mut Service, usize) -> Load| {
        let (mut rates, mut cpu) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let (limit, ours) = (step(&mut few, round), step(&mut many, round));
            rates.push((ours.rate, limit.rate));
            cpu.push(ours.cpu_ms);
        }
        row(&format!("{name}, 10 M accounts (10 k)"), &mut rates, 0.9, median(cpu), None);
    };
    both("login", &mut |service, _| service.logins());
    both("me", &mut |service, _| service.me());
    both("refresh", &mut |service, _| service.refreshes());
    both("verify", &mut |service, round| service.verifies(round));
}

/// Two nodes over one PostgreSQL and Redis, each on a core of its own, beside one of them: whole flows, whose
/// hashes are the nodes' own.
pub async fn nodes() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let [one, two] = ["0", "1"].map(|core| {
        let mut node = fleet_node(&sandbox).set("ENROLL__PASSWORDS__MEMORY_KIB", "19456");
        node.start();
        let pin = std::process::Command::new("taskset").args(["-apc", core, &node.pid().to_string()]).output().unwrap();
        assert!(pin.status.success(), "{pin:?}");
        node
    });
    let time = Duration::from_secs(6);
    let (mut rates, mut cpu, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let alone = Load::run(&one, CLIENTS, time, first, 202, register);
        first += alone.sent;
        let (a, b) = std::thread::scope(|scope| {
            let other = scope.spawn(|| Load::run(&two, CLIENTS / 2, time, first + 50_000, 202, register));
            (Load::run(&one, CLIENTS / 2, time, first, 202, register), other.join().unwrap())
        });
        first += a.sent;
        rates.push((a.rate + b.rate, alone.rate));
        cpu.push(f64::midpoint(a.cpu_ms, b.cpu_ms));
    }
    row("register, two nodes (one)", &mut rates, 1.7, median(cpu), None);
}

/// What a row that is past its keeping costs to prune, and a message to deliver, with so many of them waiting.
pub async fn queues() {
    const FEW: i64 = 20_000;
    const MANY: i64 = 1_000_000;
    let (few, many) = (prune(FEW).await, prune(MANY).await);
    row("prune, 1 M rows waiting (20 k)", &mut [(many, few)], 0.9, 0.0, None);
    let (few, many) = (crate::delivery::messages_of_a_backlog(FEW).await, crate::delivery::messages_of_a_backlog(MANY).await);
    row("deliver, 1 M messages waiting (20 k)", &mut [(many, few)], 0.9, 0.0, None);
}

/// Rows a second.
async fn prune(rows: i64) -> f64 {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let node = fleet_node(&sandbox);
    let migrated = node.command(&["migrate"]).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let url = sandbox.database_url();
    let mut database = sqlx::PgConnection::connect(&url).await.unwrap();
    let insert = format!(
        "INSERT INTO outbox (verification_id, generation, phantom, body, state, destination, attempts, due_at, deadline, ended_at)
         SELECT gen_random_uuid(), 1, false, '', 'sent', '+91****00', 1, now(), now(), now() - interval '2 days' - n * interval '1 ms'
         FROM generate_series(1, {rows}) n"
    );
    database.execute(sqlx::AssertSqlSafe(insert)).await.unwrap();
    database.execute("ANALYZE").await.unwrap();
    database.execute("CHECKPOINT").await.unwrap();
    let store = Store::open(&StoreSettings::at(&url), false).unwrap();
    let now = SystemClock.now();
    let started = Instant::now();
    let pruned = store.prune(now, Timestamp::default()).await.unwrap();
    assert_eq!(pruned, u64::try_from(rows).unwrap());
    rows as f64 / started.elapsed().as_secs_f64()
}

/// What Redis keeps for each of a million codes that wait.
pub async fn codes() {
    const CODES: usize = 1_000_000;
    let redis = OwnRedis::launch();
    let client = RedisClient::open(&RedisUrl::parse(&redis.url()).unwrap(), Duration::from_secs(10), "").unwrap();
    let (codes, now) = (RedisCodes::new(client), SystemClock.now());
    let before = yardsticks::redis_memory(&redis.url()).await;
    let started = Instant::now();
    let put = async |number: usize| {
        let code = LiveCode {
            key: CodeKey {
                destination: DestinationHash::of_key(&format!("+9198{number:08}")),
                purpose: Purpose::Registration,
                verification: uuid::Uuid::from_u128(number as u128 * 0x9E37_79B9_7F4A_7C15),
            },
            generation: 1,
            mac: format!("1:{number:064x}"),
            phantom: false,
            asked_from: None,
            tries: 5,
            expires_at: now.plus(Duration::from_mins(5)),
        };
        assert!(codes.put(&code, now).await.unwrap());
    };
    for chunk in 0..CODES / 500 {
        futures_util::future::join_all((0..500).map(|number| put(chunk * 500 + number))).await;
    }
    let rate = CODES as f64 / started.elapsed().as_secs_f64();
    let each = (yardsticks::redis_memory(&redis.url()).await - before) / CODES as f64;
    report::line(format!(
        "a million waiting verifications in Redis: {each:.0} octets each, {:.0} MB in all ({rate:.0}/s put)",
        each / 1.048_576
    ));
}

/// A million registrations an hour, their hashes aside: at each tick a register and the verify of one that came a minute
/// before; each fifth asks for a new code, each tenth sends a wrong one first.
pub async fn million() {
    const EACH_SECOND: f64 = 1_000_000.0 / 3_600.0;
    const TICKS: usize = 60 * 278;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = fleet_node(&sandbox)
        .set("ENROLL__PASSWORDS__MEMORY_KIB", "64")
        .set("ENROLL__PASSWORDS__ITERATIONS", "1")
        .set("ENROLL__CODES__REGISTRATION_SMS__TTL", "3600");
    node.start();
    Load::exactly(&node, CLIENTS, 0..TICKS, 202, register);
    let codes = yardsticks::codes(&node, TICKS).await;
    let ids = yardsticks::verification_ids(&sandbox.database_url(), TICKS).await;
    let before = ["postgres", "redis-server"].map(load::cpu_ms_of);
    let paced = Load::paced(&node, 4 * CLIENTS, EACH_SECOND, TICKS, |client, number| {
        let registered = client.call(&register(TICKS + number), 202);
        if number.is_multiple_of(5) {
            let again = format!(r#"{{"verification_id":"{}"}}"#, field(&registered, "verification_id"));
            client.call(&Request::post("/api/v1/auth/resend-otp", &again), 200);
        }
        if number.is_multiple_of(10) {
            let wrong = if codes[number] == "000000" { "000001" } else { "000000" };
            client.call(&verify(&ids[number], wrong), 400);
        }
        client.call(&verify(&ids[number], &codes[number]), 200);
    });
    let after = ["postgres", "redis-server"].map(load::cpu_ms_of);
    let [database, redis] = [0, 1].map(|part| (after[part] - before[part]) / paced.load.sent as f64);
    report::line(format!(
        "a million registrations an hour: {:.0}/s for {:.0} s, each p50 {:.1} ms, p99 {:.1} ms",
        paced.load.rate,
        paced.load.sent as f64 / paced.load.rate,
        paced.p50_ms,
        paced.p99_ms
    ));
    report::line(format!(
        "CPU each, with its share of new and wrong codes: node {:.2} ms beside its hash, PostgreSQL {database:.2} ms, Redis {redis:.2} ms",
        paced.load.cpu_ms
    ));
}
