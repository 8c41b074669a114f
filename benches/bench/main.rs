//! What it can do, beside what the machine can do: each figure stands next to a yardstick taken in
//! the same run, because absolute times on shared machines say little.
//!
//! `make bench`, or a part of it by name: `cargo bench --bench bench -- import`; needs PostgreSQL with `pgbench`, and Redis.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "what fails here ends the benchmark")]

include!("../../tests/support/prelude.rs");

test_program!(delivery, load, yardsticks);

use std::time::{Duration, Instant};

use load::{Load, Request};
use support::{
    Backend,
    process::{Node, Sandbox},
};

const CLIENTS: usize = 16;
/// Each pair is measured so often, alternating; the medians are compared.
const ROUNDS: usize = 3;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // `cargo test --benches` only wants to know that it compiles
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{CLIENTS} clients, {ROUNDS} rounds of each pair, medians\n");
    println!("{:34}{:>11}{:>14}{:>8}{:>7}  {:>8}", "", "server/s", "yardstick/s", "ratio", "goal", "CPU ms");
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|name| name == part);
    runtime.block_on(async {
        if wanted("register") {
            registrations().await;
        }
        if wanted("guard") {
            guard().await;
        }
        if wanted("verify") {
            verifies_me_and_refreshes().await;
        }
        if wanted("metrics") {
            metrics().await;
        }
        if wanted("login") {
            logins().await;
        }
        println!();
        if wanted("waiting") {
            waiting().await;
        }
        if wanted("import") {
            import().await;
        }
        if wanted("delivery") {
            delivery::latency().await;
        }
        if wanted("drain") {
            delivery::drain().await;
        }
    });
    if wanted("idle") {
        idle();
    }
}

fn row(name: &str, rates: &mut [(f64, f64)], goal: f64, cpu_ms: f64, cpu_goal: Option<f64>) {
    rates.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (ours, yardstick) = rates[rates.len() / 2];
    let ratio = ours / yardstick;
    let cpu_goal = cpu_goal.map(|goal| format!(" (goal {goal})")).unwrap_or_default();
    println!("{name:34}{ours:>11.0}{yardstick:>14.0}{ratio:>8.2}{goal:>7}  {cpu_ms:>8.3}{cpu_goal}");
}

fn fleet_node(sandbox: &Sandbox) -> Node {
    let url = sandbox.database_url();
    let plain = if url.contains('?') { format!("{url}&sslmode=disable") } else { format!("{url}?sslmode=disable") };
    sandbox
        .node()
        .unlimited()
        .set("DATABASE_URL", &plain)
        .set("ENROLL__DATABASE__MAX_CONNECTIONS", "16")
        .set("RUST_LOG", "warn")
}

/// The server's registrations beside bare Argon2id of the same cost on the same cores.
async fn registrations() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = fleet_node(&sandbox).set("ENROLL__PASSWORDS__MEMORY_KIB", "19456");
    node.start();
    let register = |number: usize| {
        let body = format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse battery"}}"#);
        Request::post("/api/v1/auth/register", &body)
    };
    let (mut rates, mut cpu, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let bare = yardsticks::argon2_rate(Duration::from_secs(3));
        let load = Load::run(&node, CLIENTS, Duration::from_secs(5), first, 202, register);
        first += load.sent;
        rates.push((load.rate, bare));
        cpu.push(load.cpu_ms);
    }
    row("register (bare Argon2id)", &mut rates, 0.9, median(cpu), None);
}

/// Registrations on a node that counts and judges each message, beside one that does not. Its limits are out of reach, so
/// that both do the same.
async fn guard() {
    const TIMES: usize = 5;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut off = fleet_node(&sandbox);
    let mut on = fleet_node(&sandbox)
        .set("ENROLL__ABUSE__GUARD", "enforce")
        .set("ENROLL__ABUSE__MINIMUM", "100000")
        .set("ENROLL__ABUSE__CEILING", "100000000/3600")
        .set("ENROLL__ABUSE__CEILING_PER_COUNTRY", "100000000/3600");
    off.start();
    on.start();
    let register = |number: usize| {
        let body = format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse battery"}}"#);
        Request::post("/api/v1/auth/register", &body)
    };
    let (mut rates, mut cpu, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TIMES {
        let without = Load::run(&off, CLIENTS, Duration::from_secs(4), first, 202, register);
        first += without.sent;
        let with = Load::run(&on, CLIENTS, Duration::from_secs(4), first, 202, register);
        first += with.sent;
        rates.push((with.rate, without.rate));
        cpu.push(with.cpu_ms);
    }
    row("register with the guard (without)", &mut rates, 0.97, median(cpu), None);
}

/// Verifies, `GET /users/me` and refreshes beside pgbench running the same statements.
async fn verifies_me_and_refreshes() {
    const EACH: usize = 4_000;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = fleet_node(&sandbox).set("ENROLL__CODES__REGISTRATION_SMS__TTL", "3600");
    node.start();
    let total = EACH * ROUNDS;
    let prepared = Load::exactly(&node, CLIENTS, 0..total, 202, |number| {
        let body = format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse battery"}}"#);
        Request::post("/api/v1/auth/register", &body)
    });
    assert_eq!(prepared.sent, total);
    let url = sandbox.database_url();
    let codes = yardsticks::codes(&node, total).await;
    let ids = yardsticks::verification_ids(&url, total).await;
    yardsticks::seed(&url).await;

    let (mut rates, mut cpu, mut opened) = (Vec::new(), Vec::new(), String::new());
    for round in 0..ROUNDS {
        let pgbench = yardsticks::pgbench(&url, yardsticks::VERIFY, CLIENTS);
        let load = Load::exactly(&node, CLIENTS, round * EACH..(round + 1) * EACH, 200, |number| {
            let body = format!(r#"{{"verification_id":"{}","otp":"{}"}}"#, ids[number], codes[number]);
            Request::post("/api/v1/auth/verify-otp", &body)
        });
        opened = load.last_body;
        rates.push((load.rate, pgbench));
        cpu.push(load.cpu_ms);
    }
    row("verify (pgbench, its statements)", &mut rates, 0.5, median(cpu), Some(0.3));

    let token = opened.split(r#""access_token":""#).nth(1).unwrap().split('"').next().unwrap();
    let (mut rates, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let pgbench = yardsticks::pgbench(&url, yardsticks::ME, CLIENTS);
        let me = |_| Request::get("/api/v1/users/me", token);
        let load = Load::run(&node, CLIENTS, Duration::from_secs(4), 0, 200, me);
        rates.push((load.rate, pgbench));
        cpu.push(load.cpu_ms);
    }
    row("GET /users/me (pgbench, its SELECT)", &mut rates, 0.2, median(cpu), Some(0.1));

    // Each client has a session of its own, and follows its tokens.
    let bodies: Vec<String> = (0..CLIENTS)
        .map(|client| {
            let body = format!(r#"{{"mobile":"+9198{client:08}","password":"correct horse battery"}}"#);
            load::once(&node, &Request::post("/api/v1/auth/login", &body), 200)
        })
        .collect();
    let (mut rates, mut cpu, mut bodies) = (Vec::new(), Vec::new(), bodies);
    for _ in 0..ROUNDS {
        let pgbench = yardsticks::pgbench(&url, yardsticks::REFRESH, CLIENTS);
        let load = Load::chained(&node, &bodies, Duration::from_secs(4), 200, |last| {
            let token = last.split(r#""refresh_token":""#).nth(1).unwrap().split('"').next().unwrap();
            Request::post("/api/v1/auth/refresh", &format!(r#"{{"refresh_token":"{token}"}}"#))
        });
        rates.push((load.rate, pgbench));
        cpu.push(load.cpu_ms);
        bodies = load.last_bodies;
    }
    row("refresh (pgbench, its statements)", &mut rates, 0.4, median(cpu), Some(0.12));
}

/// `me` on a node that measures, beside one that does not.
async fn metrics() {
    const TIMES: usize = 5;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut plain = fleet_node(&sandbox);
    let mut measuring = fleet_node(&sandbox).set("ENROLL__ADMIN__ADDRESS", "127.0.0.1:0");
    plain.start();
    measuring.start();
    let body = r#"{"mobile":"+919800000000","password":"correct horse battery"}"#;
    load::once(&plain, &Request::post("/api/v1/auth/register", body), 202);
    let code = yardsticks::codes(&plain, 1).await.remove(0);
    let id = yardsticks::verification_ids(&sandbox.database_url(), 1).await.remove(0);
    let body = format!(r#"{{"verification_id":"{id}","otp":"{code}"}}"#);
    let opened = load::once(&plain, &Request::post("/api/v1/auth/verify-otp", &body), 200);
    let token = opened.split(r#""access_token":""#).nth(1).unwrap().split('"').next().unwrap();
    let me = |node: &Node| {
        let request = |_| Request::get("/api/v1/users/me", token);
        Load::run(node, CLIENTS, Duration::from_secs(2), 0, 200, request)
    };
    let (mut rates, mut cpu, mut plain_cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let (without, with) = (me(&plain), me(&measuring));
        rates.push((with.rate, without.rate));
        cpu.push(with.cpu_ms);
        plain_cpu.push(without.cpu_ms);
    }
    row("me with metrics (without)", &mut rates, 0.97, median(cpu), Some(median(plain_cpu) * 1.03));
}

/// What a thousand clients cost that wait for news of their verification.
async fn waiting() {
    const VERIFICATIONS: usize = 250;
    const EACH: usize = 4;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = fleet_node(&sandbox);
    node.start();
    Load::exactly(&node, CLIENTS, 0..VERIFICATIONS, 202, |number| {
        let body = format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse battery"}}"#);
        Request::post("/api/v1/auth/register", &body)
    });
    let ids = yardsticks::verification_ids(&sandbox.database_url(), VERIFICATIONS).await;
    std::thread::sleep(Duration::from_secs(15)); // the hashes' memory is given back
    let before = resident_mb(node.pid());
    let wait = |id: &String| Request::get(&format!("/api/v1/auth/verifications/{id}?wait=8&state=sent"), "");
    let waiting = load::Waiting::begin(&node, ids.iter().cycle().take(VERIFICATIONS * EACH).map(wait));
    std::thread::sleep(Duration::from_secs(4));
    let meanwhile = resident_mb(node.pid());
    waiting.end(200);
    println!("{} waiting clients: {:.1} MB (goal 20)", VERIFICATIONS * EACH, meanwhile - before);
}

/// Logins beside bare Argon2id; and whether known and unknown accounts can be told apart.
async fn logins() {
    const ACCOUNTS: usize = 64;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = fleet_node(&sandbox)
        .set("ENROLL__PASSWORDS__MEMORY_KIB", "19456")
        .set("ENROLL__REGISTRATIONS__PASSWORD", "optional");
    node.start();
    let body = |number: usize| format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse battery"}}"#);
    Load::exactly(&node, CLIENTS, 0..ACCOUNTS, 202, |number| Request::post("/api/v1/auth/register", &body(number)));
    let codes = yardsticks::codes(&node, ACCOUNTS).await;
    let ids = yardsticks::verification_ids(&sandbox.database_url(), ACCOUNTS).await;
    Load::exactly(&node, CLIENTS, 0..ACCOUNTS, 200, |number| {
        let body = format!(r#"{{"verification_id":"{}","otp":"{}"}}"#, ids[number], codes[number]);
        Request::post("/api/v1/auth/verify-otp", &body)
    });
    let (mut rates, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bare = yardsticks::argon2_rate(Duration::from_secs(3));
        let login = |number: usize| Request::post("/api/v1/auth/login", &body(number % ACCOUNTS));
        let load = Load::run(&node, CLIENTS, Duration::from_secs(5), 0, 200, login);
        rates.push((load.rate, bare));
        cpu.push(load.cpu_ms);
    }
    row("login (bare Argon2id)", &mut rates, 0.9, median(cpu), None);

    println!("\nmedian ms of 200 tries, known and unknown accounts in turn (goal: within 10 %)");
    let wrong = |mobile: String| format!(r#"{{"mobile":"{mobile}","password":"a wrong battery"}}"#);
    let plain = |mobile: String| format!(r#"{{"mobile":"{mobile}"}}"#);
    let signing_up = |mobile: String| format!(r#"{{"mobile":"{mobile}","register":true,"name":"Ann"}}"#);
    for (name, call, expected) in [
        ("login", "login", 401),
        ("send-otp", "send-otp", 200),
        ("forgot-password", "forgot-password", 202),
        ("send-otp, register", "send-otp", 200),
    ] {
        let path = &format!("/api/v1/auth/{call}");
        let body = |mobile: String| match name {
            "login" => wrong(mobile),
            "send-otp, register" => signing_up(mobile),
            _ => plain(mobile),
        };
        let known = |number: usize| Request::post(path, &body(format!("+9198{:08}", number % ACCOUNTS)));
        let unknown = |number: usize| Request::post(path, &body(format!("+9197{:08}", number % ACCOUNTS)));
        let requests: [&dyn Fn(usize) -> Request; 2] = [&known, &unknown];
        let [known, unknown] = load::in_turn(&node, 200, expected, requests);
        compare(name, known, unknown);
    }
    drop(node);
    concealed(&sandbox, ACCOUNTS);
}

/// Registering over an account, where that is concealed, beside registering.
fn concealed(sandbox: &Sandbox, accounts: usize) {
    let mut node = fleet_node(sandbox)
        .set("ENROLL__PASSWORDS__MEMORY_KIB", "19456")
        .set("ENROLL__PRIVACY__CONCEAL_ACCOUNTS", "true");
    node.start();
    let register = |mobile: String, number: usize| {
        let body = format!(r#"{{"mobile":"{mobile}","password":"a stranger's battery {number}"}}"#);
        Request::post("/api/v1/auth/register", &body)
    };
    let known = |number: usize| register(format!("+9198{:08}", number % accounts), number);
    let unknown = |number: usize| register(format!("+9196{:08}", number % accounts), number);
    let requests: [&dyn Fn(usize) -> Request; 2] = [&known, &unknown];
    let [known, unknown] = load::in_turn(&node, 200, 202, requests);
    compare("register, concealed", known, unknown);
}

fn compare(name: &str, known: f64, unknown: f64) {
    println!("{name:20}{known:>9.2}{unknown:>9.2}   {:+.1} %", (unknown / known - 1.0) * 100.0);
}

/// A hundred thousand people out of a CSV file, into PostgreSQL.
async fn import() {
    const PEOPLE: usize = 100_000;
    const HASH: &str = "$2b$10$mRUOl9klI1i.JGfredL7W.Th.z09Ha5mzFgC7G0YgkpqAruwqQdcW";
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let node = fleet_node(&sandbox);
    let done = node.command(&["migrate"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let line = |n: usize| format!("OFF-{n},+9198{n:08},officer{n}@example.com,Officer {n},en-IN,{HASH}");
    let header = std::iter::once("login_id,mobile,email,name,locale,password_hash".to_owned());
    let csv = header.chain((0..PEOPLE).map(line)).collect::<Vec<_>>().join("\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), csv).unwrap();
    for what in ["new", "unchanged"] {
        let started = Instant::now();
        let done = node.command(&["users", "import", &file.path().display().to_string()]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        println!("import of {PEOPLE} people, {what}: {:.1} s (goal 60)", started.elapsed().as_secs_f64());
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Start to ready, and resident memory, of the embedded default.
fn idle() {
    let mut ready = Vec::new();
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let mut node = Node::new(&format!("sqlite://{}", dir.path().join("enroll.db").display()))
            .set("ENROLL__DATA_DIR", &dir.path().display().to_string())
            .set("ENROLL__ADMIN__ADDRESS", "127.0.0.1:0")
            .set("ENROLL__PASSWORDS__MEMORY_KIB", "19456");
        node = node.unlimited();
        let started = Instant::now();
        node.start();
        load::once(&node, &Request::get("/readyz", ""), 200);
        ready.push(started.elapsed().as_secs_f64() * 1_000.0);
        if ready.len() == 5 {
            std::thread::sleep(Duration::from_secs(2));
            let before = resident_mb(node.pid());
            Load::run(&node, 4, Duration::from_secs(2), 0, 202, |number| {
                Request::post(
                    "/api/v1/auth/register",
                    &format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse"}}"#),
                )
            });
            std::thread::sleep(Duration::from_secs(15));
            println!(
                "idle memory: {before:.1} MB after the start, {:.1} MB 15 s after registrations (goal 40)",
                resident_mb(node.pid())
            );
        }
    }
    println!("start to ready: {:.0} ms (goal 300)", median(ready));
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}
