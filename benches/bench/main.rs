//! What it can do, beside what the machine can do: each figure stands next to a yardstick taken in
//! the same run, because absolute times on shared machines say little.
//!
//! `make bench`, or parts of it by name: `make bench ROWS="verify login"`; needs PostgreSQL with `pgbench`, and Redis. `make
//! bench ROWS="accounts nodes queues codes million"` is what many accounts, nodes and messages cost.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "what fails here ends the benchmark")]

include!("../../tests/support/prelude.rs");

test_program!(delivery, embedded, load, report, scale, yardsticks);

use std::time::{Duration, Instant};

use load::{Load, Request};
use report::row;
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
    report::line(format!("{CLIENTS} clients, {ROUNDS} rounds of each pair, medians\n"));
    report::heading();
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let named = |part: &str| only.iter().any(|name| name == part);
    let wanted = |part: &str| only.is_empty() || named(part);
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
        if wanted("resend") {
            resends().await;
        }
        if wanted("metrics") {
            metrics().await;
        }
        if wanted("login") {
            logins().await;
        }
        if wanted("fairness") {
            fairness().await;
        }
        if wanted("flow") {
            whole_flows().await;
        }
        if wanted("sqlite") {
            embedded::table().await;
        }
        report::line("");
        if wanted("redis") {
            waiting_codes().await;
        }
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
    runtime.block_on(async {
        if named("accounts") {
            scale::accounts().await;
        }
        if named("nodes") {
            scale::nodes().await;
        }
        if named("queues") {
            scale::queues().await;
        }
        if named("codes") {
            scale::codes().await;
        }
        if named("million") {
            scale::million().await;
        }
    });
    if only.is_empty() {
        report::keep();
    }
}

fn register(number: usize) -> Request {
    let body = format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse battery"}}"#);
    Request::post("/api/v1/auth/register", &body)
}

fn verify(id: &str, code: &str) -> Request {
    let body = format!(r#"{{"verification_id":"{id}","otp":"{code}"}}"#);
    Request::post("/api/v1/auth/verify-otp", &body)
}

/// With the token of the last answer.
fn refresh(answer: &str) -> Request {
    let body = format!(r#"{{"refresh_token":"{}"}}"#, field(answer, "refresh_token"));
    Request::post("/api/v1/auth/refresh", &body)
}

/// A text of an answer.
fn field(answer: &str, name: &str) -> String {
    answer.split(&format!(r#""{name}":""#)).nth(1).unwrap().split('"').next().unwrap().to_owned()
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
    let (mut rates, mut cpu, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let bare = yardsticks::argon2_rate(Duration::from_secs(3));
        let load = Load::run(&node, CLIENTS, Duration::from_secs(5), first, 202, register);
        first += load.sent;
        rates.push((load.rate, bare));
        // Beside its hash, which is the cores' time divided by the hashes.
        cpu.push(load.cpu_ms - cores() * 1_000.0 / bare);
    }
    row("register (bare Argon2id)", &mut rates, 0.95, median(cpu), Some(0.25));
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
    let prepared = Load::exactly(&node, CLIENTS, 0..total, 202, register);
    assert_eq!(prepared.sent, total);
    let url = sandbox.database_url();
    let codes = yardsticks::codes(&node, total).await;
    let ids = yardsticks::verification_ids(&url, total).await;
    yardsticks::seed(&url).await;

    let (mut rates, mut cpu, mut opened) = (Vec::new(), Vec::new(), String::new());
    for round in 0..ROUNDS {
        let pgbench = yardsticks::pgbench(&url, yardsticks::VERIFY, CLIENTS);
        let load = Load::exactly(&node, CLIENTS, round * EACH..(round + 1) * EACH, 200, |number| {
            verify(&ids[number], &codes[number])
        });
        opened = load.last_body;
        rates.push((load.rate, pgbench));
        cpu.push(load.cpu_ms);
    }
    row("verify (pgbench, its statements)", &mut rates, 1.0, median(cpu), Some(0.15));

    let token = &field(&opened, "access_token");
    let (mut rates, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let pgbench = yardsticks::pgbench(&url, yardsticks::ME, CLIENTS);
        let me = |_| Request::get("/api/v1/users/me", token);
        let load = Load::run(&node, CLIENTS, Duration::from_secs(4), 0, 200, me);
        rates.push((load.rate, pgbench));
        cpu.push(load.cpu_ms);
    }
    row("GET /users/me (pgbench, its SELECT)", &mut rates, 0.5, median(cpu), Some(0.035));

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
        let load = Load::chained(&node, &bodies, Duration::from_secs(4), 200, refresh);
        rates.push((load.rate, pgbench));
        cpu.push(load.cpu_ms);
        bodies = load.last_bodies;
    }
    row("refresh (pgbench, its statements)", &mut rates, 0.75, median(cpu), Some(0.06));
}

/// New codes for pending registrations beside pgbench running the statements of the request and of its delivery.
async fn resends() {
    const PENDING: usize = 2_000;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = fleet_node(&sandbox).set("ENROLL__CODES__REGISTRATION_SMS__TTL", "3600");
    node.start();
    Load::exactly(&node, CLIENTS, 0..PENDING, 202, register);
    let url = sandbox.database_url();
    let ids = yardsticks::verification_ids(&url, PENDING).await;
    yardsticks::seed(&url).await;
    let (mut rates, mut cpu, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let pgbench = yardsticks::pgbench(&url, yardsticks::RESEND, CLIENTS);
        let load = Load::run(&node, CLIENTS, Duration::from_secs(4), first, 200, |number| {
            let body = format!(r#"{{"verification_id":"{}"}}"#, ids[number % PENDING]);
            Request::post("/api/v1/auth/resend-otp", &body)
        });
        first += load.sent;
        rates.push((load.rate, pgbench));
        cpu.push(load.cpu_ms);
    }
    row("resend (pgbench, its statements)", &mut rates, 0.9, median(cpu), Some(0.2));
}

/// Register, verify, log in, look and refresh, beside two bare hashes; and the memory under that load.
async fn whole_flows() {
    const IDENTITIES: usize = 1_500;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let day = report::today() + time::Duration::days(2);
    let identities: Vec<_> = (0..IDENTITIES).map(|number| format!("+9198{number:08}=314159@{day}")).collect();
    let mut node = fleet_node(&sandbox)
        .set("ENROLL__PASSWORDS__MEMORY_KIB", "19456")
        .set("ENROLL__TEST_IDENTITIES", &identities.join(","));
    node.start();
    std::thread::sleep(Duration::from_secs(2));
    let idle = resident_mb(node.pid());
    let (mut rates, mut cpu, mut first, mut under_load) = (Vec::new(), Vec::new(), 0, 0.0_f64);
    for _ in 0..ROUNDS {
        let bare = yardsticks::argon2_rate(Duration::from_secs(3));
        let load = Load::flows(&node, CLIENTS, Duration::from_secs(6), first, |client, number| {
            let body = format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse battery"}}"#);
            let registered = client.call(&register(number), 202);
            let proof = format!(r#"{{"verification_id":"{}","otp":"314159"}}"#, field(&registered, "verification_id"));
            client.call(&Request::post("/api/v1/auth/verify-otp", &proof), 200);
            let tokens = client.call(&Request::post("/api/v1/auth/login", &body), 200);
            client.call(&Request::get("/api/v1/users/me", &field(&tokens, "access_token")), 200);
            let refresh = format!(r#"{{"refresh_token":"{}"}}"#, field(&tokens, "refresh_token"));
            client.call(&Request::post("/api/v1/auth/refresh", &refresh), 200);
        });
        under_load = under_load.max(resident_mb(node.pid()));
        first += load.sent;
        rates.push((load.rate, bare / 2.0));
        cpu.push(load.cpu_ms);
    }
    row("whole flow (two bare hashes)", &mut rates, 0.9, median(cpu), None);
    std::thread::sleep(Duration::from_secs(12));
    let after = resident_mb(node.pid());
    report::line(format!(
        "resident memory: {idle:.1} MB idle (goal 40), {under_load:.1} under load (goal 100), {after:.1} ten seconds after (goal {:.1})",
        idle + 20.0
    ));
}

/// What Redis keeps for a verification that waits.
async fn waiting_codes() {
    const CODES: usize = 10_000;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node =
        fleet_node(&sandbox).set("ENROLL__PASSWORDS__MEMORY_KIB", "64").set("ENROLL__PASSWORDS__ITERATIONS", "1");
    node.start();
    let redis = sandbox.redis.as_ref().unwrap().url();
    let before = yardsticks::redis_memory(&redis).await;
    Load::exactly(&node, CLIENTS, 0..CODES, 202, register);
    let each = (yardsticks::redis_memory(&redis).await - before) / CODES as f64;
    report::line(format!(
        "Redis keeps {each:.0} octets for a verification that waits: {:.0} MB for a million",
        each / 1.048_576
    ));
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
    let token = &field(&opened, "access_token");
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
    Load::exactly(&node, CLIENTS, 0..VERIFICATIONS, 202, register);
    let ids = yardsticks::verification_ids(&sandbox.database_url(), VERIFICATIONS).await;
    std::thread::sleep(Duration::from_secs(15)); // the hashes' memory is given back
    let before = resident_mb(node.pid());
    let wait = |id: &String| Request::get(&format!("/api/v1/auth/verifications/{id}?wait=8&state=sent"), "");
    let waiting = load::Waiting::begin(&node, ids.iter().cycle().take(VERIFICATIONS * EACH).map(wait));
    std::thread::sleep(Duration::from_secs(4));
    let meanwhile = resident_mb(node.pid());
    waiting.end(200);
    report::line(format!("{} waiting clients: {:.1} MB (goal 20)", VERIFICATIONS * EACH, meanwhile - before));
}

/// Logins beside bare Argon2id; and whether known and unknown accounts can be told apart.
async fn logins() {
    const ACCOUNTS: usize = 64;
    // One more, whose owner asks about the others.
    const ALL: usize = ACCOUNTS + 1;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = fleet_node(&sandbox)
        .set("ENROLL__PASSWORDS__MEMORY_KIB", "19456")
        .set("ENROLL__REGISTRATIONS__PASSWORD", "optional");
    node.start();
    let body = |number: usize| format!(r#"{{"mobile":"+9198{number:08}","password":"correct horse battery"}}"#);
    Load::exactly(&node, CLIENTS, 0..ALL, 202, |number| Request::post("/api/v1/auth/register", &body(number)));
    let codes = yardsticks::codes(&node, ALL).await;
    let ids = yardsticks::verification_ids(&sandbox.database_url(), ALL).await;
    Load::exactly(&node, CLIENTS, 0..ALL, 200, |number| verify(&ids[number], &codes[number]));
    let (mut rates, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bare = yardsticks::argon2_rate(Duration::from_secs(3));
        let login = |number: usize| Request::post("/api/v1/auth/login", &body(number % ACCOUNTS));
        let load = Load::run(&node, CLIENTS, Duration::from_secs(5), 0, 200, login);
        rates.push((load.rate, bare));
        cpu.push(load.cpu_ms);
    }
    row("login (bare Argon2id)", &mut rates, 0.95, median(cpu), None);

    alike(&node, ACCOUNTS);
    drop(node);
    concealed(&sandbox, ACCOUNTS);
}

/// Whether known and unknown addresses can be told apart by time.
fn alike(node: &Node, accounts: usize) {
    report::line("\nmedian ms of 200 tries, known and unknown accounts in turn (goal: within 10 %)");
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
        let call = |mobile: String| Request::post(path, &body(mobile));
        in_turn(node, name, expected, ["98", "97"], accounts, |mobile, _| call(mobile));
    }
    register_all(node, ["94"], accounts);
    in_turn(node, "resend-otp", 200, ["94", "93"], accounts, |mobile, _| resend(&mobile));
}

/// Two ranges of numbers, asked about in turn: the first is known.
fn in_turn(
    node: &Node,
    name: &str,
    expected: u16,
    ranges: [&str; 2],
    numbers: usize,
    request: impl Fn(String, usize) -> Request,
) {
    let of = |range| {
        let request = &request;
        move |number: usize| request(format!("+91{range}{:08}", number % numbers), number)
    };
    let [known, unknown] = load::in_turn(node, 200, expected, ranges.map(of));
    compare(name, known, unknown);
}

fn resend(mobile: &str) -> Request {
    Request::post("/api/v1/auth/resend-otp", &format!(r#"{{"mobile":"{mobile}"}}"#))
}

/// One pending registration for each number.
fn register_all<const N: usize>(node: &Node, ranges: [&str; N], numbers: usize) {
    for range in ranges {
        Load::exactly(node, CLIENTS, 0..numbers, 202, |number| {
            let body = format!(r#"{{"mobile":"+91{range}{number:08}","password":"a stranger's battery"}}"#);
            Request::post("/api/v1/auth/register", &body)
        });
    }
}

/// Where accounts are concealed: registering over one, a new code for that, and another's address as a contact.
fn concealed(sandbox: &Sandbox, accounts: usize) {
    let mut node = fleet_node(sandbox)
        .set("ENROLL__PASSWORDS__MEMORY_KIB", "19456")
        .set("ENROLL__PRIVACY__CONCEAL_ACCOUNTS", "true");
    node.start();
    register_all(&node, ["98", "92"], accounts);
    in_turn(&node, "resend, concealed", 200, ["98", "92"], accounts, |mobile, _| resend(&mobile));
    in_turn(&node, "register, concealed", 202, ["98", "96"], accounts, |mobile, number| {
        let body = format!(r#"{{"mobile":"{mobile}","password":"a stranger's battery {number}"}}"#);
        Request::post("/api/v1/auth/register", &body)
    });
    let own = format!("+9198{accounts:08}"); // beside those that are asked about
    let body = format!(r#"{{"mobile":"{own}","password":"correct horse battery"}}"#);
    let opened = load::once(&node, &Request::post("/api/v1/auth/login", &body), 200);
    let token = &field(&opened, "access_token");
    in_turn(&node, "contact, concealed", 202, ["98", "95"], accounts, |mobile, _| {
        Request::post_as(token, "/api/v1/users/me/contacts", &format!(r#"{{"mobile":"{mobile}"}}"#))
    });
}

/// A login from a network of its own, while another sends more than its places; the limits are out of the way.
async fn fairness() {
    const TIMES: usize = 300;
    const CROWD: usize = 64;
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let mut node = fleet_node(&sandbox)
        .set("ENROLL__PASSWORDS__MEMORY_KIB", "19456")
        .set("ENROLL__SERVER__TRUSTED_PROXIES", "127.0.0.0/8");
    node.start();
    let login = |ip: &str, mobile: &str| {
        let body = format!(r#"{{"mobile":"{mobile}","password":"a wrong battery"}}"#);
        Request::post_from(ip, "/api/v1/auth/login", &body)
    };
    let (person, crowd) = (login("203.0.113.9", "+919800000000"), login("198.51.100.7", "+919700000000"));
    let [hash, quiet] = load::one_by_one(&node, TIMES, 401, &person);
    let flood = load::Flood::begin(&node, CROWD, &crowd);
    std::thread::sleep(Duration::from_secs(1));
    let [median, slowest] = load::one_by_one(&node, TIMES, 401, &person);
    let [hashed, refused] = flood.end();
    let goal = 2.0 * quiet + hash;
    report::line(format!(
        "\nlogin beside {CROWD} clients of one other network ({hashed} of theirs were hashed, {refused} refused)"
    ));
    report::line(format!(
        "quiet: median {hash:.1} ms, p99 {quiet:.1}; meanwhile: {median:.1}, {slowest:.1} (goal {goal:.1})"
    ));
}

fn compare(name: &str, known: f64, unknown: f64) {
    report::line(format!("{name:20}{known:>9.2}{unknown:>9.2}   {:+.1} %", (unknown / known - 1.0) * 100.0));
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
        report::line(format!("import of {PEOPLE} people, {what}: {:.1} s (goal 60)", started.elapsed().as_secs_f64()));
    }
}

fn cores() -> f64 {
    std::thread::available_parallelism().unwrap().get() as f64
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
            report::line(format!(
                "idle memory: {before:.1} MB after the start, {:.1} MB 15 s after registrations (goal 40)",
                resident_mb(node.pid())
            ));
        }
    }
    report::line(format!("start to ready: {:.0} ms (goal 300)", median(ready)));
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}
