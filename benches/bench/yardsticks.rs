//! The machine's own figures, without the server.

use std::{
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, Version};
use enroll::crypto::argon2_blocks;
use sqlx::{Connection as _, Executor as _};

use crate::support::process::Node;

/// Argon2id hashes a second of the default cost, on all cores, each in memory that is kept.
pub fn argon2_rate(time: Duration) -> f64 {
    let cores = std::thread::available_parallelism().unwrap().get();
    let (hashes, started) = (AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19_456, 2, 1, None).unwrap());
                let (mut out, mut memory) = ([0; 32], argon2_blocks(argon2.params().block_count()));
                while started.elapsed() < time {
                    let (password, salt) = (b"correct horse battery", b"0123456789abcdef");
                    argon2.hash_password_into_with_memory(password, salt, &mut out, &mut memory).unwrap();
                    hashes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    hashes.into_inner() as f64 / started.elapsed().as_secs_f64()
}

/// The codes of `+9198{number:08}`, once all were printed.
pub async fn codes(node: &Node, total: usize) -> Vec<String> {
    let started = Instant::now();
    loop {
        let mut codes = vec![String::new(); total];
        for line in node.console.all() {
            let Some((_, rest)) = line.split_once("SMS to +9198") else { continue };
            let number: usize = rest[..8].parse().unwrap();
            codes[number] = rest.split("Enroll: ").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
        }
        if codes.iter().all(|code| !code.is_empty()) {
            return codes;
        }
        assert!(started.elapsed() < Duration::from_mins(2), "messages are missing");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The ids that the server answered, by the same numbers.
pub async fn verification_ids(url: &str, total: usize) -> Vec<String> {
    const SELECT: &str = "SELECT verification_id::text FROM registrations ORDER BY mobile";
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    let ids: Vec<String> = sqlx::query_scalar(SELECT).fetch_all(&mut connection).await.unwrap();
    assert_eq!(ids.len(), total);
    ids
}

/// Rows of the bench's own, beside the server's: what one verify, or one `me`, finds.
pub async fn seed(url: &str) {
    const SEED: &[&str] = &[
        "CREATE SEQUENCE bench_seq",
        "INSERT INTO registrations (id, verification_id, destination_key, mobile, password_hash, client_hash, last_code_at,
            expires_at, created_at)
         SELECT md5('u' || n)::uuid, md5('v' || n)::uuid, '+bench' || n, '+bench' || n, repeat('x', 97), '\\x00',
            now(), now() + interval '1 day', now() FROM generate_series(1, 200000) n",
        "INSERT INTO verifications (id, generation, purpose, destination, destination_key, destination_hash, record_key, digits, tries,
            state, phantom, changed_at, issued_at, expires_at)
         SELECT md5('v' || n)::uuid, 1, 'registration', '+bench' || n, '+bench' || n, sha256(('+bench' || n)::bytea), sha256(('+bench' || n)::bytea), 6, 5, 'sent',
            false, now(), now(), now() + interval '1 day' FROM generate_series(1, 200000) n",
        "INSERT INTO destinations (hash, history, touched_at)
         SELECT sha256(('+bench' || n)::bytea), '{\"registration\":{\"sends\":[1800000000000],\"failed_attempts\":[]}}', now()
         FROM generate_series(1, 200000) n",
        "INSERT INTO users (id, mobile, email_verified, mobile_verified, password_hash, epoch, session_opened_at, created_at, updated_at)
         SELECT md5('m' || n)::uuid, '+me' || n, false, true, repeat('x', 97), 0, now(), now(), now()
         FROM generate_series(1, 50000) n",
        "INSERT INTO sessions (id, user_id, counter, used_counter, salt, epoch, opened_by, ip, created_at, rotated_at, ends_at, expires_at)
         SELECT md5('s' || n)::uuid, md5('m' || n)::uuid, 0, 0, '\\x00', 0, '\\x00', '127.0.0.1', now(), now(),
            now() + interval '1 day', now() + interval '1 day' FROM generate_series(1, 50000) n",
        "ANALYZE",
    ];
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    for statement in SEED {
        connection.execute(*statement).await.unwrap();
    }
}

/// The statements of a verify by its id, in its order (and one more, for a number of its own).
pub const VERIFY: &str = "
SELECT nextval('bench_seq') AS n \\gset
SELECT v.id, v.generation, v.purpose, v.destination, v.digits, v.tries, v.state, v.phantom, v.changed_at,
    v.issued_at, v.expires_at, v.user_id, v.epoch, v.login_id_hash, d.history, d.lifted_at, CASE WHEN v.user_id IS NULL
    THEN EXISTS (SELECT 1 FROM registrations r WHERE r.verification_id = v.id AND r.expires_at > now())
    ELSE EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id AND u.epoch = v.epoch AND u.disabled_at IS NULL) END
    FROM verifications v LEFT JOIN destinations d ON d.hash = v.record_key WHERE v.id = md5('v' || :n)::uuid;
BEGIN;
SELECT r.id, r.verification_id, r.destination_key, r.email, r.mobile, r.login_id, r.name, r.locale, r.password_hash,
    r.client_hash, r.last_code_at, r.expires_at, r.created_at,
    EXISTS (SELECT 1 FROM users u WHERE u.email_verified AND u.email_key = r.email_key),
    EXISTS (SELECT 1 FROM users u WHERE u.mobile_verified AND u.mobile = r.mobile),
    EXISTS (SELECT 1 FROM users u WHERE u.login_id_key = r.login_id_key)
    FROM registrations r WHERE r.verification_id = md5('v' || :n)::uuid AND r.expires_at > now();
INSERT INTO users (id, mobile, email_verified, mobile_verified, password_hash, epoch, session_opened_at, created_at, updated_at)
    VALUES (md5('u' || :n)::uuid, '+bench' || :n, false, true, repeat('x', 97), 0, now(), now(), now());
DELETE FROM registrations WHERE destination_key = '+bench' || :n RETURNING id;
UPDATE verifications SET state = 'verified', changed_at = now()
    WHERE id = md5('v' || :n)::uuid AND state <> 'verified' RETURNING id;
INSERT INTO sessions (id, user_id, counter, used_counter, salt, epoch, opened_by, ip, created_at, rotated_at, ends_at, expires_at)
    VALUES (md5('t' || :n)::uuid, md5('u' || :n)::uuid, 0, 0, '\\x00', 0, '\\x00', '127.0.0.1', now(), now(), now(), now());
INSERT INTO events (order_key, body, has_user, created_at)
    SELECT md5('u' || :n)::uuid, repeat('x', 200)::bytea, false, now() FROM generate_series(1, 3);
INSERT INTO audit (at, kind, outcome, user_id, destination_hash, destination, client, times)
    SELECT now(), 'registered', 'done', md5('u' || :n)::uuid, sha256(('+bench' || :n)::bytea), '+91****00', '127.0.0.1', 1
    FROM generate_series(1, 3);
COMMIT;
";

/// The statements of a resend by its id, and of the worker that delivers the message.
pub const RESEND: &str = "
\\set n random(1, 200000)
SELECT r.id, r.verification_id, r.destination_key, r.email, r.mobile, r.login_id, r.name, r.locale, r.password_hash,
    r.client_hash, r.last_code_at, r.expires_at, r.created_at FROM registrations r
    WHERE r.verification_id = md5('v' || :n)::uuid AND r.expires_at > now();
BEGIN;
INSERT INTO destinations (hash, history, touched_at) VALUES (sha256(('+bench' || :n)::bytea), '{}', now())
    ON CONFLICT (hash) DO UPDATE SET touched_at = excluded.touched_at RETURNING history, lifted_at;
SELECT EXISTS (SELECT 1 FROM users u WHERE u.mobile_verified AND u.mobile = '+bench' || :n);
UPDATE destinations SET history = '{\"registration\":{\"sends\":[1800000000000],\"failed_attempts\":[]}}'
    WHERE hash = sha256(('+bench' || :n)::bytea);
UPDATE registrations SET last_code_at = now(), expires_at = now() + interval '1 day'
    WHERE verification_id = md5('v' || :n)::uuid;
UPDATE verifications SET generation = generation + 1, state = 'queued', changed_at = now(), issued_at = now(),
    expires_at = now() + interval '1 day' WHERE id = md5('v' || :n)::uuid AND state <> 'verified' RETURNING generation;
INSERT INTO outbox (verification_id, generation, phantom, destination, body, state, attempts, due_at, deadline)
    VALUES (md5('v' || :n)::uuid, 2, false, '+91****00', repeat('x', 300)::bytea, 'sending', 1, now(), now())
    RETURNING id AS message \\gset
INSERT INTO audit (at, kind, outcome, verification_id, destination_hash, destination, client, times)
    VALUES (now(), 'code_issued', 'registration', md5('v' || :n)::uuid, sha256(('+bench' || :n)::bytea), '+91****00', '127.0.0.1', 1);
COMMIT;
UPDATE outbox SET due_at = now(), attempts = attempts + 1 WHERE id = :message;
BEGIN;
UPDATE verifications SET state = 'sent', changed_at = now() WHERE id = md5('v' || :n)::uuid AND generation = 2;
UPDATE outbox SET state = 'sent', ended_at = now(), body = '' WHERE id = :message;
INSERT INTO audit (at, kind, outcome, verification_id, destination_hash, destination, provider, took_ms, times)
    VALUES (now(), 'message', 'sent', md5('v' || :n)::uuid, sha256(('+bench' || :n)::bytea), '+91****00', 'console', 1, 1);
COMMIT;
";

/// The one statement of `GET /users/me`.
pub const ME: &str = "
\\set n random(1, 50000)
SELECT u.id, u.email, u.email_verified, u.mobile, u.mobile_verified, u.login_id, u.name, u.locale, u.password_hash,
    u.epoch, u.disabled_at, u.created_at, u.updated_at FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = md5('s' || :n)::uuid AND u.id = md5('m' || :n)::uuid AND s.revoked_at IS NULL AND s.ends_at > now()
    AND s.expires_at > now() AND s.epoch = u.epoch AND u.disabled_at IS NULL;
";

/// The statements of a refresh.
pub const REFRESH: &str = "
\\set n random(1, 50000)
UPDATE sessions SET counter = counter + 1, rotated_at = now(),
    ends_at = CASE WHEN expires_at < now() THEN expires_at ELSE now() + interval '30 days' END
    WHERE id = md5('s' || :n)::uuid AND salt = '\\x00' AND revoked_at IS NULL AND ends_at > now()
    AND EXISTS (SELECT 1 FROM users u WHERE u.id = user_id AND u.epoch = sessions.epoch AND u.disabled_at IS NULL)
    RETURNING id, user_id, counter, salt, epoch, opened_by, user_agent, ip, created_at, rotated_at, ends_at, expires_at;
SELECT u.id, u.email, u.email_verified, u.mobile, u.mobile_verified, u.login_id, u.name, u.locale, u.password_hash,
    u.epoch, u.disabled_at, u.created_at, u.updated_at FROM users u WHERE u.id = md5('m' || :n)::uuid;
";

/// Octets that this Redis has in use.
pub async fn redis_memory(url: &str) -> f64 {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    line.trim().parse().unwrap()
}

/// Transactions a second of a script, prepared, over as many connections as the server has clients.
pub fn pgbench(url: &str, script: &str, clients: usize) -> f64 {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, script.as_bytes()).unwrap();
    let clients = clients.to_string();
    let done = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-T", "4", "-j", "2", "-c", &clients, "-f"])
        .arg(file.path())
        .arg(format!("{url}?sslmode=disable"))
        .output()
        .expect("pgbench is installed");
    let out = String::from_utf8(done.stdout).unwrap();
    let line = out.lines().find(|line| line.starts_with("tps = "));
    let line = line.unwrap_or_else(|| panic!("{out}{}", String::from_utf8_lossy(&done.stderr)));
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}
