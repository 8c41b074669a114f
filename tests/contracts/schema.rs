//! Both databases have the same schema, and take every statement.

use std::collections::BTreeSet;

use enroll::{
    domain::Timestamp,
    store::{PLANNING, Store, StoreSettings, statements},
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqliteConnection};

use crate::support::backend::Database;

/// PostgreSQL's words for types, and SQLite's.
const WORDS: [(&str, &str); 7] = [
    ("uuid", "BLOB"),
    ("bytea", "BLOB"),
    ("text", "TEXT"),
    ("boolean", "INTEGER"),
    ("integer", "INTEGER"),
    ("bigint", "INTEGER"),
    ("timestamp with time zone", "INTEGER"),
];

struct Databases {
    postgres: PgConnection,
    sqlite: SqliteConnection,
    database: Database,
    _dir: tempfile::TempDir,
}

async fn migrated() -> Databases {
    let (dir, database) = (tempfile::tempdir().unwrap(), Database::create().await);
    let sqlite_url = format!("sqlite://{}", dir.path().join("enroll.db").display());
    for url in [&database.url, &sqlite_url] {
        let timeout = std::time::Duration::from_secs(10);
        let store = Store::open(&StoreSettings { timeout, ..StoreSettings::at(url) }, true).unwrap();
        store.migrate().await.unwrap();
        store.close().await;
    }
    Databases {
        postgres: PgConnection::connect(&database.url).await.unwrap(),
        sqlite: SqliteConnection::connect(&sqlite_url).await.unwrap(),
        database,
        _dir: dir,
    }
}

fn without_noise(index: &str) -> String {
    let index = index.to_lowercase().replace("on public.", "on ").replace(" using btree", "").replace("::text", "");
    index.replace(['(', ')', '"'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn both_schemas_agree_fleet() {
    let mut databases = migrated().await;
    let Databases { postgres, sqlite, .. } = &mut databases;
    let columns: Vec<(String, String, String, bool)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES'
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut *postgres)
    .await
    .unwrap();
    let translated = |words: &str| WORDS.iter().find(|(postgres, _)| *postgres == words).unwrap().1.to_owned();
    let in_postgres: BTreeSet<_> = columns
        .into_iter()
        .map(|(table, column, data_type, nullable)| (table, column, translated(&data_type), nullable))
        .collect();
    let columns: Vec<(String, String, String, bool)> = sqlx::query_as(
        r#"SELECT m.name, c.name, c.type, c."notnull" = 0 AND c.pk = 0 FROM sqlite_master m, pragma_table_info(m.name) c
           WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> '_sqlx_migrations'"#,
    )
    .fetch_all(&mut *sqlite)
    .await
    .unwrap();
    let in_sqlite: BTreeSet<_> = columns.into_iter().collect();
    assert!(in_postgres.len() > 80, "{in_postgres:#?}");
    assert_eq!(in_postgres, in_sqlite);

    let indexes: Vec<String> = sqlx::query_scalar(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'",
    )
    .fetch_all(&mut *postgres)
    .await
    .unwrap();
    let in_postgres: BTreeSet<String> = indexes.iter().map(|index| without_noise(index)).collect();
    let indexes: Vec<String> =
        sqlx::query_scalar("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
            .fetch_all(&mut *sqlite)
            .await
            .unwrap();
    let in_sqlite: BTreeSet<String> = indexes.iter().map(|index| without_noise(index)).collect();
    assert!(in_postgres.len() > 15, "{in_postgres:#?}");
    assert_eq!(in_postgres, in_sqlite);
}

#[tokio::test]
async fn both_databases_prepare_every_statement_fleet() {
    let mut databases = migrated().await;
    let Databases { postgres, sqlite, .. } = &mut databases;
    let mut count = 0;
    for (name, sql) in statements() {
        // What controls a transaction is never prepared.
        if matches!(sql.postgres, "BEGIN" | "COMMIT" | "ROLLBACK") {
            continue;
        }
        let prepared = (&mut *postgres).prepare(AssertSqlSafe(sql.postgres).into_sql_str()).await;
        assert!(prepared.is_ok(), "{name} on PostgreSQL: {:?}", prepared.err());
        let prepared = (&mut *sqlite).prepare(AssertSqlSafe(sql.sqlite).into_sql_str()).await;
        assert!(prepared.is_ok(), "{name} on SQLite: {:?}", prepared.err());
        count += 1;
    }
    assert!(count > 50, "{count} statements");
}

/// No part of a request: commands, gauges, the sinks' next events in order, and tables of a few rows.
const WHOLE_TABLES: &[&str] = &[
    "delivery_stats::",
    "events::COUNT_",
    "events::DELETE_OF_",
    "events::REQUEUE_",
    "events::SELECT_FOR_",
    "events::SELECT_STORED",
    "outbox::SELECT_BY_STATE",
    "outbox::SELECT_WAITING",
    "prefix_counts::SELECT_STATES",
    "prune::", // planned by the number that it deletes at once, which is not told here
    "root_keys::SELECT",
    "users::SELECT_ANY",
];

/// Rows enough for the planner to mind.
const ROWS: &str = "
    INSERT INTO users (id, email, email_key, email_verified, mobile, mobile_verified, login_id, login_id_key, epoch,
        session_opened_at, created_at, updated_at)
        SELECT md5('u' || n)::uuid, n || '@a.b', n || '@a.b', true, '+' || n, true, 'l' || n, 'l' || n, 0, now(), now(), now()
        FROM generate_series(1, 20000) n;
    INSERT INTO registrations (id, verification_id, destination_key, email, email_key, mobile, client_hash, last_code_at,
        expires_at, created_at)
        SELECT md5('u' || n)::uuid, md5('v' || n)::uuid, '+' || n, n || '@a.b', n || '@a.b', '+' || n, '', now(), now(), now()
        FROM generate_series(1, 20000) n;
    INSERT INTO verifications (id, generation, purpose, destination, destination_key, destination_hash, record_key, digits,
        tries, state, phantom, user_id, epoch, asked_in, changed_at, issued_at, expires_at)
        SELECT md5('v' || n)::uuid, 1, 'login', '+' || n, '+' || n, sha256(n::text::bytea), sha256(n::text::bytea), 6, 3,
        'sent', false, md5('u' || n)::uuid, 0, md5('s' || n)::uuid, now(), now(), now() + n * interval '1 second'
        FROM generate_series(1, 20000) n;
    INSERT INTO destinations (hash, history, touched_at)
        SELECT sha256(n::text::bytea), '{}', now() + n * interval '1 second' FROM generate_series(1, 20000) n;
    INSERT INTO sessions (id, user_id, counter, used_counter, salt, epoch, created_at, rotated_at, ends_at, expires_at)
        SELECT md5('s' || n)::uuid, md5('u' || n)::uuid, 0, 0, '', 0, now(), now(), now() + n * interval '1 second', now()
        FROM generate_series(1, 20000) n;
    INSERT INTO outbox (verification_id, generation, phantom, body, state, destination, attempts, due_at, deadline, ended_at)
        SELECT md5('v' || n)::uuid, 1, false, '', CASE WHEN n % 2 = 0 THEN 'queued' ELSE 'sent' END, '', 0,
        now() + n * interval '1 second', now(), CASE WHEN n % 2 = 0 THEN NULL ELSE now() + n * interval '1 second' END
        FROM generate_series(1, 20000) n;
    INSERT INTO known_networks (user_id, network, seen_at)
        SELECT md5('u' || n)::uuid, sha256(n::text::bytea), now() + n * interval '1 second' FROM generate_series(1, 20000) n;
    INSERT INTO audit (at, kind, outcome, user_id, destination_hash, times)
        SELECT now() + n * interval '1 second', 'login', '', md5('u' || n)::uuid, sha256(n::text::bytea), 1
        FROM generate_series(1, 20000) n;
    INSERT INTO events (order_key, body, has_user, created_at, rabbitmq_at)
        SELECT md5('u' || n)::uuid, '', true, now(), now() FROM generate_series(1, 20000) n;
    INSERT INTO prefix_counts (prefix, slot, sent, verified, unripe, changed_at)
        SELECT n, n, 1, 1, 1, now() + n * interval '1 second' FROM generate_series(1, 20000) n;
    ANALYZE";

/// The scans of a plan that no condition of an index narrows.
fn whole_scans(plan: &serde_json::Value, found: &mut Vec<String>) {
    match plan {
        serde_json::Value::Object(node) => {
            let kind = node.get("Node Type").and_then(|kind| kind.as_str()).unwrap_or_default();
            let is_narrowed = node.contains_key("Index Cond");
            let is_table = kind == "Seq Scan" || (kind.contains("Index") && kind.contains("Scan") && !is_narrowed);
            if is_table {
                let of = |key: &str| node.get(key).and_then(|value| value.as_str()).unwrap_or_default();
                found.push(format!("{kind} {} {}", of("Relation Name"), of("Index Name")));
            }
            node.values().for_each(|value| whole_scans(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| whole_scans(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn no_statement_of_a_request_reads_a_whole_table_fleet() {
    assert_narrow_plans(ROWS, &[]).await;
}

/// A plan outlives what it was made for: a whole scan of an index that is empty by now is cheap only as long as it is.
#[tokio::test]
async fn none_does_where_nobody_has_a_mobile_yet_fleet() {
    assert_narrow_plans(&ROWS.replace("'+' || n, true,", "NULL, false,"), &[]).await;
}

#[tokio::test]
async fn none_does_where_nobody_has_an_email_yet_fleet() {
    assert_narrow_plans(&ROWS.replace("n || '@a.b', n || '@a.b', true,", "NULL, NULL, false,"), &[]).await;
}

#[tokio::test]
async fn none_does_where_tables_are_small_yet_fleet() {
    // No part of a register, a verify, a resend, a login or a refresh.
    let but = ["audit::SELECT_OF_USER", "user_changes::DELETE_VERIFICATIONS"];
    for rows in ["10", "300"] {
        assert_narrow_plans(&ROWS.replace("20000", rows), &but).await;
    }
}

async fn assert_narrow_plans(rows: &str, but: &[&str]) {
    let mut databases = migrated().await;
    let Databases { postgres, sqlite, .. } = &mut databases;
    postgres.execute(AssertSqlSafe(rows.to_owned())).await.unwrap();
    // A table without rows is scanned as well as searched.
    postgres.execute(PLANNING).await.unwrap();
    postgres.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let mut whole = Vec::new();
    for (name, sql) in statements() {
        let kind = sql.postgres.split_whitespace().next().unwrap();
        if !["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].contains(&kind) {
            continue;
        }
        let values = (1..30).take_while(|n| sql.postgres.contains(&format!("${n}"))).map(|_| "NULL");
        let values = values.collect::<Vec<_>>().join(", ");
        let values = if values.is_empty() { values } else { format!("({values})") };
        let prepare = format!("PREPARE s AS {}", sql.postgres);
        postgres.execute(AssertSqlSafe(prepare)).await.unwrap();
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE s{values}");
        let plan: serde_json::Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *postgres).await.unwrap();
        postgres.execute("DEALLOCATE s").await.unwrap();
        let mut scans = Vec::new();
        whole_scans(&plan, &mut scans);
        let mut steps: Vec<(i64, i64, i64, String)> = Vec::new();
        for statement in sql.sqlite.split("; ") {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            steps.extend(sqlx::query_as::<_, (i64, i64, i64, String)>(explain).fetch_all(&mut *sqlite).await.unwrap());
        }
        let steps = steps.into_iter().map(|(.., step)| step);
        scans.extend(steps.filter(|step| step.starts_with("SCAN ") && !["json_each", "CONSTANT", "SCAN single", "SCAN others"].iter().any(|none| step.contains(none))));
        let is_excepted = WHOLE_TABLES.iter().chain(but).any(|part| name.contains(part));
        if !scans.is_empty() && !is_excepted {
            whole.push(format!("{name}: {}", scans.join("; ")));
        }
    }
    assert!(whole.is_empty(), "{whole:#?}");
}

#[tokio::test]
async fn the_store_reads_a_small_table_by_its_index_fleet() {
    const FEW_ROWS: &str = "INSERT INTO registrations (id, verification_id, destination_key, client_hash, last_code_at, expires_at,
        created_at) SELECT gen_random_uuid(), gen_random_uuid(), '', '', now(), now(), now() FROM generate_series(1, 10);
        ANALYZE registrations";
    const SCANS: &str =
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'registrations_verification_key'";
    let mut databases = migrated().await;
    let postgres = &mut databases.postgres;
    postgres.execute(FEW_ROWS).await.unwrap();
    let store = Store::open(&StoreSettings::at(&databases.database.url), false).unwrap();
    let mut reader = store.read().await.unwrap();
    for n in 0..10 {
        assert!(reader.registration(uuid::Uuid::from_u128(n), Timestamp::default()).await.unwrap().is_none());
    }
    drop(reader);
    store.close().await;
    let mut scans = 0;
    for _ in 0..200 {
        if scans >= 10 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await; // the server counts once a connection has ended
        scans = sqlx::query_scalar::<_, i64>(SCANS).fetch_one(&mut *postgres).await.unwrap();
    }
    assert_eq!(scans, 10, "by the index");
}
