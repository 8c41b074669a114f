//! The embedded default beside SQLite, which runs the same statements at the same durability.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    CLIENTS, ROUNDS, field,
    load::{self, Load, Request},
    median, refresh, register,
    report::row,
    support::{Backend, process::Sandbox},
    verify, yardsticks,
};

const SEED: [&str; 5] = [
    "INSERT INTO registrations (id, verification_id, destination_key, mobile, password_hash, client_hash, last_code_at, expires_at,
        created_at) VALUES (:user, :verification, :mobile, :mobile, printf('%.*c', 97, 'x'), x'00', :now, :later, :now)",
    "INSERT INTO verifications (id, generation, purpose, destination, destination_key, destination_hash, record_key, digits,
        tries, state, phantom, changed_at, issued_at, expires_at)
        VALUES (:verification, 1, 'registration', :mobile, :mobile, :hash, :hash, 6, 5, 'sent', 0, :now, :now, :later)",
    "INSERT INTO destinations (hash, history, touched_at) VALUES (:hash,
        '{\"registration\":{\"sends\":[1800000000000],\"failed_attempts\":[]}}', :now)",
    "INSERT INTO users (id, mobile, email_verified, mobile_verified, password_hash, epoch, session_opened_at, created_at,
        updated_at) VALUES (:other, 'me' || :mobile, 0, 1, printf('%.*c', 97, 'x'), 0, :now, :now, :now)",
    "INSERT INTO sessions (id, user_id, counter, used_counter, salt, epoch, ip, created_at, rotated_at, ends_at, expires_at)
        VALUES (:session, :other, 0, 0, x'00', 0, '127.0.0.1', :now, :now, :later, :later)",
];

const CHALLENGE: &str = "SELECT v.id, v.generation, v.purpose, v.destination, v.digits, v.tries, v.state, v.phantom, v.changed_at,
    v.issued_at, v.expires_at, v.user_id, v.epoch, v.login_id_hash, v.sign_up, d.history, d.lifted_at, d.version,
    EXISTS (SELECT 1 FROM registrations r WHERE r.verification_id = v.id AND r.expires_at > :now)
    FROM verifications v LEFT JOIN destinations d ON d.hash = v.record_key WHERE v.id = :verification";
const REGISTRATION: &str = "SELECT r.*, EXISTS (SELECT 1 FROM users u WHERE u.email_key = r.email_key AND u.email_verified),
    EXISTS (SELECT 1 FROM users u WHERE u.mobile = r.mobile AND u.mobile_verified),
    EXISTS (SELECT 1 FROM users u WHERE u.login_id_key = r.login_id_key)
    FROM registrations r WHERE r.verification_id = :verification AND r.expires_at > :now";

const VERIFY: &[&str] = &[
    CHALLENGE,
    "BEGIN IMMEDIATE",
    REGISTRATION,
    "INSERT INTO users (id, mobile, email_verified, mobile_verified, password_hash, epoch, session_opened_at, created_at, updated_at)
        VALUES (:user, :mobile, 0, 1, printf('%.*c', 97, 'x'), 0, :now, :now, :now)",
    "DELETE FROM registrations WHERE destination_key = :mobile",
    "UPDATE verifications SET state = 'verified', changed_at = :now WHERE id = :verification AND state <> 'verified'",
    "INSERT INTO sessions (id, user_id, counter, used_counter, salt, epoch, opened_by, ip, created_at, rotated_at, ends_at,
        expires_at) VALUES (:verification, :user, 0, 0, x'00', 0, x'00', '127.0.0.1', :now, :now, :later, :later)",
    "INSERT INTO events (order_key, body, has_user, created_at) VALUES (:user, zeroblob(200), 0, :now),
        (:user, zeroblob(200), 0, :now), (:user, zeroblob(200), 0, :now)",
    "INSERT INTO audit (at, kind, outcome, user_id, destination_hash, destination, client, times) VALUES
        (:now, 'registered', 'done', :user, :hash, '+91****00', '127.0.0.1', 1),
        (:now, 'registered', 'done', :user, :hash, '+91****00', '127.0.0.1', 1),
        (:now, 'registered', 'done', :user, :hash, '+91****00', '127.0.0.1', 1)",
    "COMMIT",
];

const RESEND: &[&str] = &[
    REGISTRATION,
    "BEGIN IMMEDIATE",
    "SELECT d.history, d.lifted_at, d.version FROM destinations d WHERE d.hash = :hash",
    "UPDATE destinations SET history = '{\"registration\":{\"sends\":[1800000000000],\"failed_attempts\":[]}}', touched_at = :now,
        version = version + 1 WHERE hash = :hash",
    "UPDATE registrations SET last_code_at = :now, expires_at = :later WHERE verification_id = :verification",
    "UPDATE verifications SET generation = generation + 1, state = 'queued', changed_at = :now, issued_at = :now,
        expires_at = :later WHERE id = :verification AND state <> 'verified'",
    "INSERT INTO outbox (verification_id, generation, phantom, destination, body, state, attempts, due_at, deadline)
        VALUES (:verification, 2, 0, '+91****00', zeroblob(300), 'queued', 0, :now, :later)",
    "INSERT INTO audit (at, kind, outcome, verification_id, destination_hash, destination, client, times)
        VALUES (:now, 'code_issued', 'registration', :verification, :hash, '+91****00', '127.0.0.1', 1)",
    "COMMIT",
    "UPDATE outbox SET due_at = :later, attempts = attempts + 1 WHERE verification_id = :verification AND state = 'queued'",
    "BEGIN IMMEDIATE",
    "UPDATE verifications SET state = 'sent', changed_at = :now WHERE id = :verification",
    "UPDATE outbox SET state = 'sent', ended_at = :now, body = x'' WHERE verification_id = :verification AND state = 'queued'",
    "INSERT INTO audit (at, kind, outcome, verification_id, destination_hash, destination, provider, took_ms, times)
        VALUES (:now, 'message', 'sent', :verification, :hash, '+91****00', 'console', 1, 1)",
    "COMMIT",
];

const ME: &[&str] = &[
    "SELECT u.*, s.counter, s.used_counter FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = :session AND u.id = :other AND s.revoked_at IS NULL AND s.ends_at > :now AND s.expires_at > :now
    AND s.epoch = u.epoch AND u.disabled_at IS NULL",
];

const REFRESH: &[&str] = &[
    "UPDATE sessions SET counter = counter + 1, rotated_at = :now, ends_at = :later
        WHERE id = :session AND salt = x'00' AND revoked_at IS NULL AND ends_at > :now
        AND EXISTS (SELECT 1 FROM users u WHERE u.id = user_id AND u.epoch = sessions.epoch AND u.disabled_at IS NULL)",
    "SELECT u.* FROM users u WHERE u.id = :other",
];

/// How often SQLite does it in a second, by so many processes at once.
fn sqlite(path: &str, statements: &[&str], how: &str, first: usize, processes: usize) -> f64 {
    let running: Vec<_> = (0..processes)
        .map(|number| {
            let mut process = Command::new("python3")
                .args(["-c", include_str!("sqlite.py"), path, how, &(first + number * 1_000).to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            process.stdin.take().unwrap().write_all(serde_json::json!(statements).to_string().as_bytes()).unwrap();
            process
        })
        .collect();
    let rate = |process: std::process::Child| {
        let out = process.wait_with_output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap().trim().parse::<f64>().unwrap_or_default()
    };
    running.into_iter().map(rate).sum()
}

/// Verify, resend, `me` and refresh.
pub async fn table() {
    const EACH: usize = 1_500;
    const PENDING: usize = 1_000; // beside those that are verified
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let mut node = sandbox
        .node()
        .unlimited()
        .set("ENROLL__CODES__REGISTRATION_SMS__TTL", "3600")
        .set("RUST_LOG", "warn");
    node.start();
    // A file of its own: a node that is kept from its writer for a second says so.
    let other = Sandbox::new(Backend::Embedded).await;
    let migrated = other.node().command(&["migrate"]).output().unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let path = other.database_url().trim_start_matches("sqlite://").to_owned();
    sqlite(&path, &SEED, "seed", 0, 1);

    let total = EACH * ROUNDS;
    let (_, answers) = Load::answered(&node, CLIENTS, total + PENDING, 202, register);
    let ids: Vec<String> = answers.iter().map(|answer| field(answer, "verification_id")).collect();
    let codes = yardsticks::codes(&node, ids.len()).await;
    let seconds = Duration::from_secs(3);

    let (mut rates, mut cpu, mut opened) = (Vec::new(), Vec::new(), String::new());
    for round in 0..ROUNDS {
        let limit = sqlite(&path, VERIFY, "3", round * 12_000, 1);
        let load = Load::exactly(&node, CLIENTS, round * EACH..(round + 1) * EACH, 200, |number| {
            verify(&ids[number], &codes[number])
        });
        opened = load.last_body;
        rates.push((load.rate, limit));
        cpu.push(load.cpu_ms);
    }
    row("SQLite: verify (its statements)", &mut rates, 0.8, median(cpu), None);

    let (mut rates, mut cpu, mut first) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let limit = sqlite(&path, RESEND, "3", 36_000, 1);
        let load = Load::run(&node, CLIENTS, seconds, first, 200, |number| {
            let body = format!(r#"{{"verification_id":"{}"}}"#, ids[total + number % PENDING]);
            Request::post("/api/v1/auth/resend-otp", &body)
        });
        first += load.sent;
        rates.push((load.rate, limit));
        cpu.push(load.cpu_ms);
    }
    row("SQLite: resend (its statements)", &mut rates, 0.8, median(cpu), None);

    let token = &field(&opened, "access_token");
    let (mut rates, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let limit = sqlite(&path, ME, "3", 0, std::thread::available_parallelism().unwrap().get());
        let load = Load::run(&node, CLIENTS, seconds, 0, 200, |_| Request::get("/api/v1/users/me", token));
        rates.push((load.rate, limit));
        cpu.push(load.cpu_ms);
    }
    row("SQLite: GET /users/me (its SELECT)", &mut rates, 0.8, median(cpu), None);

    let mut bodies: Vec<String> = (0..CLIENTS)
        .map(|client| {
            let body = format!(r#"{{"mobile":"+9198{client:08}","password":"correct horse battery"}}"#);
            load::once(&node, &Request::post("/api/v1/auth/login", &body), 200)
        })
        .collect();
    let (mut rates, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let limit = sqlite(&path, REFRESH, "3", 0, 1);
        let load = Load::chained(&node, &bodies, seconds, 200, refresh);
        rates.push((load.rate, limit));
        cpu.push(load.cpu_ms);
        bodies = load.last_bodies;
    }
    row("SQLite: refresh (its statements)", &mut rates, 0.8, median(cpu), None);
}
