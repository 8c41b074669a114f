//! The backends, and a database of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection as _, Executor as _};

use super::servers::OwnPgBouncer;

/// The servers that a test runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// SQLite and memory.
    Embedded,
    /// SQLite and Redis.
    SqliteRedis,
    /// PostgreSQL and Redis.
    Fleet,
    /// PostgreSQL behind PgBouncer in transaction mode, and Redis.
    Pooled,
}

impl Backend {
    pub fn has_postgres(self) -> bool {
        matches!(self, Self::Fleet | Self::Pooled)
    }

    pub fn has_redis(self) -> bool {
        self != Self::Embedded
    }
}

/// `make test` says where they are.
#[allow(clippy::disallowed_methods, reason = "tests have no other settings")]
pub fn server_url(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

pub fn postgres_url() -> String {
    server_url("DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
}

pub fn redis_url() -> String {
    server_url("REDIS_URL", "redis://127.0.0.1:6379")
}

/// A word that no other test, process or run has.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("{prefix}_{}_{nanos}_{count}", std::process::id())
}

/// A database of one's own, gone with the value.
pub struct Database {
    pub url: String,
    name: String,
    server: String,
    pub pooler: Option<OwnPgBouncer>,
}

impl Database {
    /// That of a backend, if it needs one.
    pub async fn create_for(backend: Backend) -> Option<Self> {
        if !backend.has_postgres() {
            return None;
        }
        let mut database = Self::create().await;
        if backend == Backend::Pooled {
            database.pooler = Some(OwnPgBouncer::launch("transaction", &database.server));
        }
        Some(database)
    }

    /// Through its pooler, if it has one.
    pub fn pooled_url(&self) -> String {
        self.pooler.as_ref().map_or_else(|| self.url.clone(), |pooler| pooler.url(&self.url))
    }

    /// How a server finds it.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![("DATABASE_URL", self.pooled_url())];
        if self.pooler.is_some() {
            settings.push(("DATABASE_DIRECT_URL", self.url.clone()));
            settings.push(("ENROLL__DATABASE__POOLED", "true".to_owned()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub async fn create() -> Self {
        Self::create_on(&postgres_url()).await
    }

    pub async fn create_on(server: &str) -> Self {
        let name = unique("enroll_test");
        let mut admin = sqlx::PgConnection::connect(server).await.expect("PostgreSQL answers; `make test` starts one");
        admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        let (base, query) = server.split_once('?').map_or((server, None), |(base, query)| (base, Some(query)));
        let (host, _) = base.rsplit_once('/').unwrap();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Self { url: format!("{host}/{name}{query}"), name, server: server.to_owned(), pooler: None }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let drop_it = async move {
            if let Ok(mut admin) = sqlx::PgConnection::connect(&server).await {
                let _ = admin.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await;
            }
        };
        let _ = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(drop_it);
        })
        .join();
    }
}

/// A connection to a server's database beside it.
pub enum RawConnection {
    Postgres(sqlx::PgConnection),
    Sqlite(sqlx::SqliteConnection),
}

impl RawConnection {
    pub async fn open(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            Self::Sqlite(sqlx::SqliteConnection::connect(url).await.unwrap())
        } else {
            Self::Postgres(sqlx::PgConnection::connect(url).await.unwrap())
        }
    }

    pub async fn execute(&mut self, sql: &'static str) {
        match self {
            Self::Postgres(connection) => connection.execute(sql).await.map(drop).unwrap(),
            Self::Sqlite(connection) => connection.execute(sql).await.map(drop).unwrap(),
        }
    }

    pub async fn release(mut self) {
        self.execute("ROLLBACK").await;
    }
}

const TABLES: [&str; 8] =
    ["users", "registrations", "verifications", "destinations", "sessions", "outbox", "leases", "audit"];

/// Every row of every table but the events, as text.
pub async fn all_rows(url: &str) -> Vec<String> {
    let mut rows = Vec::new();
    if url.starts_with("sqlite:") {
        let mut sqlite = sqlx::SqliteConnection::connect(url).await.unwrap();
        for table in TABLES {
            let columns = format!(
                "SELECT group_concat('quote(' || name || ')', ' || '' '' || ') FROM pragma_table_info('{table}')"
            );
            let columns: String =
                sqlx::query_scalar(sqlx::AssertSqlSafe(columns)).fetch_one(&mut sqlite).await.unwrap();
            let select = format!("SELECT '{table}: ' || CAST({columns} AS TEXT) FROM {table}");
            rows.extend(
                sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(select)).fetch_all(&mut sqlite).await.unwrap(),
            );
        }
    } else {
        let mut postgres = sqlx::PgConnection::connect(url).await.unwrap();
        for table in TABLES {
            let select = format!("SELECT '{table}: ' || t::text FROM {table} t");
            rows.extend(
                sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(select)).fetch_all(&mut postgres).await.unwrap(),
            );
        }
    }
    rows
}
