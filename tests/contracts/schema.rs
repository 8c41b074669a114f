//! Both databases have the same schema, and take every statement.

use std::collections::BTreeSet;

use enroll::store::{Store, StoreSettings, statements};
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
    _database: Database,
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
        _database: database,
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
