//! The database: pools, migrations, transactions.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use sqlx::{
    Connection as _, Executor as _, PgConnection, SqliteConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{NodeLock, Reader, StoreError, Tx, Writer, connection::Driver, pool::Pool};
use crate::{circuit_breaker::CircuitBreaker, domain::Dependency};

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

const MIGRATION_TRIES: u32 = 20;

/// The database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pools: Pools,
    timeout: Duration,
    breaker: Arc<CircuitBreaker>,
}

#[derive(Clone)]
enum Pools {
    Postgres(Pool<PgConnection>),
    /// One writer (it queues fairly, where SQLite's own waiting does not) and several readers.
    Sqlite {
        writer: Pool<SqliteConnection>,
        readers: Pool<SqliteConnection>,
    },
}

/// The location of the database and how long it is waited for.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `postgres://…` or `sqlite://…`
    pub url: String,
    /// The size of the pool.
    pub max_connections: u32,
    /// The time limit of a statement, and of getting a connection.
    pub timeout: Duration,
}

impl Store {
    /// Opens the pools without connecting; `create` allows a missing SQLite file to be created.
    pub fn open(settings: &StoreSettings, create: bool) -> Result<Self, sqlx::Error> {
        let pools = if settings.url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(&settings.url)?
                .create_if_missing(create)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(settings.timeout)
                .foreign_keys(true);
            Pools::Sqlite {
                writer: Pool::new(options.clone(), 1, settings.timeout),
                readers: Pool::new(options, settings.max_connections, settings.timeout),
            }
        } else {
            // The server gives up just before the client: a statement that nobody waits for must not run on.
            let limit = format!("{}ms", settings.timeout.as_millis() * 9 / 10);
            let options = PgConnectOptions::from_str(&settings.url)?
                .application_name("enroll")
                .options([("statement_timeout", limit.as_str()), ("lock_timeout", limit.as_str())]);
            Pools::Postgres(Pool::new(options, settings.max_connections, settings.timeout))
        };
        Ok(Self { pools, timeout: settings.timeout, breaker: Arc::new(CircuitBreaker::new(Dependency::Sql)) })
    }

    /// Brings the schema up to date; of several nodes that start at once, one does it.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        match &self.pools {
            Pools::Postgres(pool) => {
                let mut own = PgConnection::connect_with(pool.options()).await?;
                // A migration may take its time, and waits for another node's.
                own.execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
                POSTGRES.run(&mut own).await
            }
            Pools::Sqlite { writer, .. } => {
                // SQLite has no lock for it: the loser of a race finds the other's work at a later try.
                let mut tries = 0;
                loop {
                    let migrated = migrate_file(writer.options()).await;
                    tries += 1;
                    if migrated.is_ok() || tries == MIGRATION_TRIES {
                        return migrated;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Whether it is SQLite.
    pub fn is_embedded(&self) -> bool {
        matches!(self.pools, Pools::Sqlite { .. })
    }

    /// Its circuit breaker.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// A connection for statements that only read.
    pub async fn read(&self) -> Result<Reader, StoreError> {
        self.connect(false).await
    }

    /// A connection for single statements that write.
    pub async fn write(&self) -> Result<Writer, StoreError> {
        self.connect(true).await.map(Writer::new)
    }

    /// A transaction.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Tx::begin(self.write().await?).await
    }

    /// The lock of the only node on this database.
    pub fn node_lock(&self) -> NodeLock {
        match &self.pools {
            Pools::Postgres(pool) => NodeLock::postgres(pool.options().clone(), self.timeout),
            Pools::Sqlite { writer, .. } => NodeLock::sqlite(writer.options().get_filename()),
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Postgres(pool) => pool.close().await,
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    async fn connect(&self, write: bool) -> Result<Reader, StoreError> {
        self.breaker.check()?;
        let acquired = match &self.pools {
            Pools::Postgres(pool) => pool.lease().await.map(Driver::Postgres),
            Pools::Sqlite { writer, .. } if write => writer.lease().await.map(Driver::Sqlite),
            Pools::Sqlite { readers, .. } => readers.lease().await.map(Driver::Sqlite),
        };
        let driver = acquired.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => StoreError::Unavailable(self.breaker.starved()),
            other => StoreError::from(other),
        })?;
        Ok(Reader::new(driver, self.timeout, Arc::clone(&self.breaker)))
    }
}

async fn migrate_file(options: &SqliteConnectOptions) -> Result<(), MigrateError> {
    let mut own = SqliteConnection::connect_with(options).await?;
    SQLITE.run(&mut own).await
}
