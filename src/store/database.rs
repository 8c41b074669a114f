//! The database: pools, migrations, transactions.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Connection as _, PgConnection, SqliteConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use uuid::Uuid;

use super::{
    NodeLock, Reader, StoreError, Tx, Writer,
    connection::Driver,
    pool::{self, Pool},
    pooler,
};
use crate::{
    circuit_breaker::CircuitBreaker,
    domain::{Dependency, Timestamp},
};

const MIGRATION_TRIES: u32 = 20;

/// The database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pools: Pools,
    timeout: Duration,
    breaker: Arc<CircuitBreaker>,
    /// How a transaction begins behind a pooler in transaction mode.
    pooled: Option<Arc<str>>,
}

#[derive(Clone)]
enum Pools {
    Postgres {
        pool: Pool<PgConnection>,
        /// Past a pooler.
        direct: Box<PgConnectOptions>,
    },
    /// One writer (it queues fairly, where SQLite's own waiting does not) and several readers.
    Sqlite { writer: Pool<SqliteConnection>, readers: Pool<SqliteConnection> },
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
    /// Past a pooler, for what needs a connection of its own.
    pub direct_url: Option<String>,
    /// The URL is that of a pooler in transaction mode: no session outlives a transaction.
    pub pooled: bool,
}

impl StoreSettings {
    /// A database without a pooler before it.
    pub fn at(url: impl Into<String>) -> Self {
        let timeout = Duration::from_secs(1);
        Self { url: url.into(), max_connections: 8, timeout, direct_url: None, pooled: false }
    }

    /// The file of an embedded database.
    pub fn file(&self) -> Option<PathBuf> {
        let options = self.url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(&self.url).ok())??;
        let path = options.get_filename();
        (path != Path::new(":memory:")).then(|| path.to_owned())
    }
}

impl Store {
    /// Opens the pools without connecting; `create` allows a missing SQLite file to be created.
    pub fn open(settings: &StoreSettings, create: bool) -> Result<Self, sqlx::Error> {
        let timeout = settings.timeout;
        // The server gives up just before the client: a statement that nobody waits for must not run on.
        let limit = timeout.as_millis() * 9 / 10;
        let mut pooled = None;
        let pools = if settings.url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(&settings.url)?
                .create_if_missing(create)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(timeout)
                .foreign_keys(true);
            Pools::Sqlite {
                writer: Pool::new(options.clone(), None, 1, timeout),
                readers: Pool::new(options, None, settings.max_connections, timeout),
            }
        } else {
            let timeouts = |set: &str| format!("{set} statement_timeout = {limit}; {set} lock_timeout = {limit}");
            pooled = settings.pooled.then(|| Arc::from(format!("BEGIN; {}", timeouts("SET LOCAL"))));
            let set_up = (!settings.pooled).then(|| Arc::from(format!("{}; {PLANNING}", timeouts("SET"))));
            let direct = settings.direct_url.as_ref().unwrap_or(&settings.url);
            Pools::Postgres {
                pool: Pool::new(postgres_options(&settings.url)?, set_up, settings.max_connections, timeout),
                direct: Box::new(postgres_options(direct)?),
            }
        };
        Ok(Self { pools, timeout, breaker: Arc::new(CircuitBreaker::new(Dependency::Sql)), pooled })
    }

    /// Brings the schema up to date; of several nodes that start at once, one does it.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        match &self.pools {
            Pools::Postgres { direct, .. } => migrate_postgres(direct).await,
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

    /// Connects in both ways that there are: to the database, and past its pooler.
    pub async fn check_connections(&self) -> Result<(), StoreError> {
        drop(self.read().await?);
        if let Pools::Postgres { direct, .. } = &self.pools {
            within(self.timeout, PgConnection::connect_with(direct)).await?.close().await?;
        }
        Ok(())
    }

    /// Whether a pooler in transaction mode hands statements of one connection to several servers.
    pub async fn is_behind_transaction_pooler(&self) -> Result<bool, StoreError> {
        let Pools::Postgres { pool, .. } = &self.pools else { return Ok(false) };
        within(self.timeout * 5, pooler::changes_servers(pool.options())).await
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
        self.write().await.map(Tx::new)
    }

    /// Whether it takes writes now. Once a call has failed, by a write: a full disk shows in no other way.
    pub async fn takes_writes(&self, now: Timestamp) -> Result<bool, StoreError> {
        if self.breaker.is_suspected() {
            self.write().await?.take_lease("health", Uuid::nil(), now, now).await?;
        }
        if self.is_embedded() {
            self.write().await?.try_lock().await?; // another program may hold it
            return Ok(true);
        }
        self.read().await?.is_writable().await
    }

    /// The lock of the only node on this database.
    pub fn node_lock(&self) -> NodeLock {
        match &self.pools {
            Pools::Postgres { direct, .. } => NodeLock::postgres((**direct).clone(), self.timeout),
            Pools::Sqlite { writer, .. } => NodeLock::sqlite(writer.options().get_filename()),
        }
    }

    /// The connections in use, and the most that there may be.
    pub fn connections(&self) -> (usize, usize) {
        match &self.pools {
            Pools::Postgres { pool, .. } => pool.usage(),
            Pools::Sqlite { readers, .. } => readers.usage(),
        }
    }

    /// Copies an embedded database as of one moment into an empty file, however long it takes; writers go on.
    pub async fn copy_to(&self, file: &Path) -> Result<(), sqlx::Error> {
        let Pools::Sqlite { readers, .. } = &self.pools else { unreachable!("only an embedded database has a file") };
        let mut connection = SqliteConnection::connect_with(readers.options()).await?;
        sqlx::query("VACUUM INTO $1").bind(file.to_string_lossy()).execute(&mut connection).await?;
        connection.close().await
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Postgres { pool, .. } => pool.close().await,
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    async fn connect(&self, write: bool) -> Result<Reader, StoreError> {
        self.breaker.check()?;
        let acquired = match &self.pools {
            Pools::Postgres { pool, .. } => pool.lease().await.map(Driver::Postgres),
            Pools::Sqlite { writer, .. } if write => writer.lease().await.map(Driver::Sqlite),
            Pools::Sqlite { readers, .. } => readers.lease().await.map(Driver::Sqlite),
        };
        let driver = acquired.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => StoreError::Unavailable(self.breaker.starved()),
            other => StoreError::from(other),
        })?;
        Ok(Reader::new(driver, self.timeout, Arc::clone(&self.breaker), self.pooled.clone()))
    }
}

/// Prepared statements keep the plan that was made while a table was small: so each row is looked up by an index wherever one
/// serves, in joins too. The scans that are left look dear then, and JIT would compile them.
pub const PLANNING: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";

/// Without the start-up parameters that poolers refuse.
fn postgres_options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(url)?.application_name("enroll").extra_float_digits(None))
}

async fn within<T>(timeout: Duration, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(timeout, answer).await;
    Ok(answer.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(pool::outage)?)
}

/// In one transaction, whose lock makes other nodes wait and which a pooler cannot split.
async fn migrate_postgres(options: &PgConnectOptions) -> Result<(), MigrateError> {
    const SET_UP: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
        SELECT pg_advisory_xact_lock(hashtext('enroll migrations'))";
    let mut connection = PgConnection::connect_with(&options.clone().statement_cache_capacity(0)).await?;
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(SET_UP).execute(&mut *transaction).await?;
    let mut migrator = tolerant(sqlx::migrate!("migrations/postgres"));
    migrator.set_locking(false).run_direct(None, &mut *transaction, false).await?;
    sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *transaction).await?; // a pooler's next client would meet them
    Ok(transaction.commit().await?)
}

async fn migrate_file(options: &SqliteConnectOptions) -> Result<(), MigrateError> {
    let mut own = SqliteConnection::connect_with(options).await?;
    tolerant(sqlx::migrate!("migrations/sqlite")).run(&mut own).await
}

/// A node of this release starts on the schema of the next: in mid roll-out, and when one is taken back.
fn tolerant(mut migrator: Migrator) -> Migrator {
    migrator.set_ignore_missing(true);
    migrator
}
