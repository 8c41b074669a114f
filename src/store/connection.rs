use std::{
    ops::{Deref, DerefMut},
    str::FromStr as _,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Connection as _, Executor as _, PgConnection, PgPool, Postgres, Sqlite, SqlitePool,
    migrate::Migrator,
    pool::{PoolConnection, PoolOptions},
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::error::Elapsed;

use super::{SingleNode, StoreError};
use crate::{
    domain::{Part, Timestamp, Unavailable},
    link::Breaker,
};

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

const MIGRATION_TRIES: u32 = 5;

/// The database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pools: Pools,
    timeout: Duration,
    breaker: Arc<Breaker>,
}

#[derive(Clone)]
enum Pools {
    Postgres(PgPool),
    /// One writer (it queues fairly, where `SQLite`'s own waiting does not) and several readers.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
}

/// Where the database is and how long it is waited for.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `postgres://…` or `sqlite://…`
    pub url: String,
    pub max_connections: u32,
    /// Of a statement, and of getting a connection.
    pub timeout: Duration,
}

/// One connection, with the statements that run on it.
pub struct Connection {
    pub(super) raw: Raw,
    timeout: Duration,
    breaker: Arc<Breaker>,
    /// A statement was begun and its answer not read: nobody else may have this connection.
    in_statement: bool,
    in_transaction: bool,
}

pub(super) enum Raw {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
    Gone,
}

/// One unit of work; dropped without [`commit`](Tx::commit), it undoes everything.
pub struct Tx(Connection);

/// Runs the body, a statement's future, on whichever database the connection is to; it is
/// compiled once for each driver.
macro_rules! on {
    ($connection:expr, |$db:ident| $body:expr) => {{
        let timeout = $connection.begin_statement();
        let answer = match &mut $connection.raw {
            $crate::store::connection::Raw::Postgres(raw) => {
                let $db = &mut **raw;
                tokio::time::timeout(timeout, $body).await
            }
            $crate::store::connection::Raw::Sqlite(raw) => {
                let $db = &mut **raw;
                tokio::time::timeout(timeout, $body).await
            }
            $crate::store::connection::Raw::Gone => unreachable!("only drop takes the connection out"),
        };
        $connection.end_statement(answer)
    }};
}
pub(super) use on;

/// Runs a query that answers no rows, and tells how many it touched.
macro_rules! execute {
    ($connection:expr, $query:expr) => {
        $crate::store::connection::on!($connection, |db| async {
            $query.execute(db).await.map(|done| done.rows_affected())
        })
    };
}
pub(super) use execute;

impl Store {
    /// Opens the pools without connecting; a missing `SQLite` file is made when `create` says so.
    pub fn open(settings: &StoreSettings, create: bool) -> Result<Self, sqlx::Error> {
        let pools = if settings.url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(&settings.url)?
                .create_if_missing(create)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(settings.timeout)
                .foreign_keys(true);
            Pools::Sqlite {
                writer: pool(settings, 1).connect_lazy_with(options.clone()),
                readers: pool(settings, settings.max_connections).connect_lazy_with(options),
            }
        } else {
            // The server gives up just before we do: what nobody waits for must not run on.
            let limit = format!("{}ms", settings.timeout.as_millis() * 9 / 10);
            let options = PgConnectOptions::from_str(&settings.url)?
                .application_name("enroll")
                .options([("statement_timeout", limit.as_str()), ("lock_timeout", limit.as_str())]);
            Pools::Postgres(pool(settings, settings.max_connections).connect_lazy_with(options))
        };
        Ok(Self { pools, timeout: settings.timeout, breaker: Arc::new(Breaker::new(Part::Sql)) })
    }

    /// Brings the schema up to date; of nodes that start at once, one does it.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        match &self.pools {
            Pools::Postgres(pool) => {
                let options = pool.connect_options();
                let mut own = PgConnection::connect_with(&options).await?;
                // A migration may take its time, and waits for another node's.
                own.execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
                POSTGRES.run(&mut own).await
            }
            Pools::Sqlite { writer, .. } => {
                // SQLite has no lock for it: who loses the race finds the other's work at the next try.
                for _ in 0..MIGRATION_TRIES {
                    if SQLITE.run(writer).await.is_ok() {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                SQLITE.run(writer).await
            }
        }
    }

    pub fn is_embedded(&self) -> bool {
        matches!(self.pools, Pools::Sqlite { .. })
    }

    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// For statements that only read.
    pub async fn read(&self) -> Result<Connection, StoreError> {
        self.connect(false).await
    }

    /// For a single statement that writes.
    pub async fn write(&self) -> Result<Connection, StoreError> {
        self.connect(true).await
    }

    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let mut connection = self.connect(true).await?;
        // SQLite must take the write lock first: a read that upgrades fails when another wrote.
        let begin = if self.is_embedded() { "BEGIN IMMEDIATE" } else { "BEGIN" };
        execute!(connection, sqlx::raw_sql(begin))?;
        connection.in_transaction = true;
        Ok(Tx(connection))
    }

    /// How to be the only node on this database.
    pub fn single_node(&self) -> SingleNode {
        match &self.pools {
            Pools::Postgres(pool) => SingleNode::postgres(pool.connect_options(), self.timeout),
            Pools::Sqlite { writer, .. } => SingleNode::sqlite(writer.connect_options().get_filename()),
        }
    }

    pub async fn close(&self) {
        match &self.pools {
            Pools::Postgres(pool) => pool.close().await,
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    async fn connect(&self, write: bool) -> Result<Connection, StoreError> {
        self.breaker.check()?;
        let acquired = match &self.pools {
            Pools::Postgres(pool) => pool.acquire().await.map(Raw::Postgres),
            Pools::Sqlite { writer, .. } if write => writer.acquire().await.map(Raw::Sqlite),
            Pools::Sqlite { readers, .. } => readers.acquire().await.map(Raw::Sqlite),
        };
        let raw = acquired.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => StoreError::Unavailable(self.breaker.starved()),
            other => StoreError::from(other),
        })?;
        Ok(Connection {
            raw,
            timeout: self.timeout,
            breaker: Arc::clone(&self.breaker),
            in_statement: false,
            in_transaction: false,
        })
    }
}

/// A connection is looked at before use only when it sat idle: a look is a round trip.
fn pool<DB: sqlx::Database>(settings: &StoreSettings, connections: u32) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(settings.timeout)
        .test_before_acquire(false)
        .before_acquire(|connection: &mut DB::Connection, meta| {
            Box::pin(async move {
                if meta.idle_for > Duration::from_secs(1) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

impl Connection {
    pub(super) fn begin_statement(&mut self) -> Duration {
        self.in_statement = true;
        self.timeout
    }

    pub(super) fn end_statement<T>(
        &mut self,
        answer: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, StoreError> {
        let Ok(answer) = answer else {
            return Err(self.breaker.timed_out().into()); // and the connection closes when dropped
        };
        let answer = answer.map_err(StoreError::from);
        if !matches!(answer, Err(StoreError::Unavailable(_))) {
            self.in_statement = false;
            self.breaker.answered();
        }
        answer
    }

    /// The database's own clock.
    pub async fn now(&mut self) -> Result<Timestamp, StoreError> {
        let sql = match self.raw {
            Raw::Postgres(_) => "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
            Raw::Sqlite(_) | Raw::Gone => "SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000000",
        };
        let micros: i64 = on!(self, |db| sqlx::query_scalar(sql).fetch_one(db))?;
        Ok(Timestamp::from_micros(micros))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut raw = std::mem::replace(&mut self.raw, Raw::Gone);
        if self.in_statement {
            match &mut raw {
                Raw::Postgres(connection) => connection.close_on_drop(),
                Raw::Sqlite(connection) => connection.close_on_drop(),
                Raw::Gone => {}
            }
        } else if self.in_transaction {
            let mut undo = Connection {
                raw,
                timeout: self.timeout,
                breaker: Arc::clone(&self.breaker),
                in_statement: false,
                in_transaction: false,
            };
            tokio::spawn(async move {
                if let Err(error) = undo.end_transaction("ROLLBACK").await {
                    tracing::debug!(%error, "a transaction was left to the database to undo");
                }
            });
        }
    }
}

impl Connection {
    async fn end_transaction(&mut self, how: &'static str) -> Result<(), StoreError> {
        execute!(self, sqlx::raw_sql(how))?;
        self.in_transaction = false;
        Ok(())
    }
}

impl Tx {
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.0.end_transaction("COMMIT").await
    }

    /// Undoes everything, before the caller goes on.
    pub async fn rollback(mut self) -> Result<(), StoreError> {
        self.0.end_transaction("ROLLBACK").await
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl From<StoreError> for Unavailable {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(unavailable) => unavailable,
            other => Self::new(Part::Sql, other),
        }
    }
}
