//! Connections and transactions, and how a statement runs on either database.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr as _, SqliteConnection, postgres::PgArguments};
use tokio::time::error::Elapsed;

use super::{
    Sql, StoreError,
    batch::{Batch, Need},
    dialect::statements,
    pool::Lease,
};
use crate::{
    circuit_breaker::CircuitBreaker,
    domain::{Dependency, Timestamp, Unavailable},
};

statements! {
    BEGIN_WRITING = BEGIN;
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";
    SELECT_NOW = "SELECT ", NOW_MICROS;
    SELECT_IS_UTF8 = "SELECT ", IS_UTF8;
    SELECT_IS_WRITABLE = "SELECT ", IS_WRITABLE;
}

/// A connection for statements that only read.
pub struct Reader {
    pub(super) driver: Driver,
    timeout: Duration,
    breaker: Arc<CircuitBreaker>,
    /// Behind a pooler in transaction mode each statement stands in a transaction that begins with this.
    pooled: Option<Arc<str>>,
    /// A statement has begun and its answer was not read: nobody else may have this connection.
    in_statement: bool,
    in_transaction: bool,
    /// Of a transaction on PostgreSQL: it begins with the first statement that locks or that writes with an answer, and
    /// gathers the writes without one.
    gathers: bool,
    pub(super) batch: Batch,
}

/// A connection for single statements that may write.
pub struct Writer(Reader);

/// A transaction; dropped without [`commit`](Tx::commit), it undoes everything.
pub struct Tx(Writer);

pub(super) enum Driver {
    Postgres(Lease<PgConnection>),
    Sqlite(Lease<SqliteConnection>),
    Gone,
}

/// Runs the body, a statement's future, on either database; it is compiled once for each driver. `sql` is the
/// statement's text for that database.
macro_rules! on {
    ($connection:expr, $statement:expr, |$db:ident, $sql:ident| $body:expr) => {{
        let timeout = $connection.begin_statement();
        let answer = match &mut $connection.driver {
            $crate::store::connection::Driver::Postgres(driver) => {
                let ($db, $sql) = (&mut **driver, $statement.postgres);
                tokio::time::timeout(timeout, $body).await
            }
            $crate::store::connection::Driver::Sqlite(driver) => {
                let ($db, $sql) = (&mut **driver, $statement.sqlite);
                tokio::time::timeout(timeout, $body).await
            }
            $crate::store::connection::Driver::Gone => unreachable!("only drop takes the driver out"),
        };
        $connection.end_statement(answer)
    }};
}

/// Runs the body as `on` does, with the statement prepared as `query`, or as `query_as` where rows are read.
macro_rules! prepared {
    ($connection:expr, $statement:expr, $prepare:ident, |$db:ident, $query:ident| $body:expr) => {{
        match $connection.enter().await {
            Ok(entered) => {
                let named = !$connection.is_pooled(); // a pooler hands the next one to another server
                let answer = $crate::store::connection::on!($connection, $statement, |$db, sql| {
                    let $query = sqlx::$prepare(sql).persistent(named);
                    $body
                });
                $connection.leave(entered, answer).await
            }
            Err(error) => Err(error),
        }
    }};
}
pub(super) use {on, prepared};

/// Runs a statement and returns how many rows it touched.
macro_rules! execute {
    ($connection:expr, $statement:expr, [$($value:expr),* $(,)?]) => {
        $crate::store::connection::prepared!($connection, $statement, query, |db, query| async {
            query$(.bind($value))*.execute(db).await.map(|done| done.rows_affected())
        })
    };
}
pub(super) use execute;

/// Writes rows, each bound by these values; a transaction on PostgreSQL gathers them. What finds no row though it
/// [needs](crate::store::batch::Need) one fails with [`StoreError::Stale`], here or at the commit.
macro_rules! write_rows {
    ($connection:expr, $need:ident, $statement:expr, $rows:expr, |$row:pat_param| [$($value:expr),* $(,)?]) => {{
        let (rows, need) = ($rows, $crate::store::batch::Need::$need);
        if rows.is_empty() {
            Ok(())
        } else if let Some(arguments) = $connection.gather($statement, rows.len(), need) {
            let mut added = Ok(());
            for $row in rows {
                $(added = added.and_then(|()| sqlx::Arguments::add(arguments, $value));)*
            }
            added.map_err(|error| sqlx::Error::Encode(error).into())
        } else {
            match $connection.enter().await {
                Ok(entered) => {
                    let named = !$connection.is_pooled();
                    let answer = $crate::store::connection::on!($connection, $statement, |db, sql| {
                        let sql = sqlx::AssertSqlSafe($crate::store::batch::for_rows(sql, rows.len()));
                        let mut query = sqlx::query(sql).persistent(named);
                        for $row in rows {
                            $(query = query.bind($value);)*
                        }
                        async { query.execute(db).await.map(|done| done.rows_affected()) }
                    });
                    $connection.leave(entered, answer).await.and_then(|found| need.check(found))
                }
                Err(error) => Err(error),
            }
        }
    }};
}
pub(super) use write_rows;

/// Writes as [`write_rows`] does, once.
macro_rules! write_once {
    ($connection:expr, $need:ident, $statement:expr, $values:tt) => {
        $crate::store::connection::write_rows!($connection, $need, $statement, [()], |()| $values)
    };
}
pub(super) use write_once;

/// Runs a statement and returns its rows: `fetch_one`, `fetch_optional` or `fetch_all`.
macro_rules! fetch {
    ($how:ident, $connection:expr, $statement:expr, [$($value:expr),* $(,)?]) => {
        $crate::store::connection::prepared!($connection, $statement, query_as, |db, query| query$(.bind($value))*.$how(db))
    };
}
pub(super) use fetch;

impl Reader {
    pub(super) fn new(
        driver: Driver,
        timeout: Duration,
        breaker: Arc<CircuitBreaker>,
        pooled: Option<Arc<str>>,
    ) -> Self {
        let (in_statement, in_transaction, gathers) = (false, false, false);
        Self { driver, timeout, breaker, pooled, in_statement, in_transaction, gathers, batch: Batch::default() }
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.is_some()
    }

    /// Before a statement that only reads: sends what was gathered, which it is to see, and begins the transaction that
    /// a single statement needs behind a pooler; `true` if it did.
    pub(super) async fn enter(&mut self) -> Result<bool, StoreError> {
        if !self.batch.is_empty() {
            self.begin_late().await?;
            self.send_batch().await?;
        }
        let enters = self.is_pooled() && !self.in_transaction;
        if enters {
            self.begin().await?;
        }
        Ok(enters)
    }

    /// Ends what [`enter`](Self::enter) began.
    pub(super) async fn leave<T>(&mut self, entered: bool, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if entered && !self.in_statement {
            self.end(if answer.is_ok() { COMMIT } else { ROLLBACK }).await?;
        }
        answer
    }

    /// Begins the transaction that has not needed to yet.
    async fn begin_late(&mut self) -> Result<(), StoreError> {
        if self.in_transaction { Ok(()) } else { self.begin().await }
    }

    async fn send_batch(&mut self) -> Result<(), StoreError> {
        let (sql, arguments) = self.batch.take();
        let (named, timeout) = (!self.is_pooled(), self.begin_statement());
        let Driver::Postgres(driver) = &mut self.driver else { unreachable!("SQLite gathers nothing") };
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(named);
        let answer = tokio::time::timeout(timeout, query.execute(&mut **driver)).await;
        self.end_statement(answer).map(drop)
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        let pooled = self.pooled.clone();
        on!(self, BEGIN_WRITING, |db, sql| async {
            let sql = pooled.map_or_else(|| sql.into_sql_str(), |begin| AssertSqlSafe(begin).into_sql_str());
            sqlx::raw_sql(sql).execute(db).await.map(drop)
        })?;
        self.in_transaction = true;
        Ok(())
    }

    async fn end(&mut self, command: Sql) -> Result<(), StoreError> {
        self.control(command).await?;
        self.in_transaction = false;
        Ok(())
    }

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
        if matches!(answer, Err(StoreError::Unavailable(_))) {
            self.breaker.suspect();
        } else {
            self.in_statement = false;
            self.breaker.answered();
        }
        answer
    }

    /// The database's own clock.
    pub async fn now(&mut self) -> Result<Timestamp, StoreError> {
        let (micros,): (i64,) = fetch!(fetch_one, self, SELECT_NOW, [])?;
        Ok(Timestamp::from_micros(micros))
    }

    /// Whether a write would be taken: a standby, or a database that an operator made read-only, answers and takes none.
    pub async fn is_writable(&mut self) -> Result<bool, StoreError> {
        let (is_writable,): (bool,) = fetch!(fetch_one, self, SELECT_IS_WRITABLE, [])?;
        if !is_writable {
            self.close_when_dropped();
        }
        Ok(is_writable)
    }

    /// Whether the database can hold every text.
    pub async fn is_utf8(&mut self) -> Result<bool, StoreError> {
        let (is_utf8,): (bool,) = fetch!(fetch_one, self, SELECT_IS_UTF8, [])?;
        Ok(is_utf8)
    }

    fn close_when_dropped(&mut self) {
        self.in_statement = true;
    }

    /// Runs a command of the transaction, which is never prepared.
    async fn control(&mut self, command: Sql) -> Result<(), StoreError> {
        on!(self, command, |db, sql| async { sqlx::raw_sql(sql).execute(db).await.map(drop) })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let driver = std::mem::replace(&mut self.driver, Driver::Gone);
        if self.in_statement {
            return; // it closes: its answer may still come
        }
        if !self.in_transaction {
            return driver.give_back();
        }
        let mut connection = Self::new(driver, self.timeout, Arc::clone(&self.breaker), None);
        tokio::spawn(async move {
            if let Err(error) = connection.control(ROLLBACK).await {
                connection.close_when_dropped();
                tracing::debug!(%error, "a transaction is left to the database to undo");
            }
        });
    }
}

impl Driver {
    fn give_back(self) {
        match self {
            Self::Postgres(lease) => lease.give_back(),
            Self::Sqlite(lease) => lease.give_back(),
            Self::Gone => {}
        }
    }
}

impl Writer {
    pub(super) fn new(connection: Reader) -> Self {
        Self(connection)
    }

    /// As [`Reader::enter`], before a statement that locks or writes.
    pub(super) async fn enter(&mut self) -> Result<bool, StoreError> {
        if self.gathers {
            self.begin_late().await?;
        }
        self.0.enter().await
    }

    /// The arguments of a write that is gathered with others; `None` where it is to run at once.
    pub(super) fn gather(&mut self, statement: Sql, rows: usize, need: Need) -> Option<&mut PgArguments> {
        self.gathers.then(|| self.0.batch.push(statement.postgres, rows, need))
    }
}

impl Tx {
    pub(super) async fn begin(mut connection: Writer) -> Result<Self, StoreError> {
        connection.0.gathers = matches!(connection.driver, Driver::Postgres(_));
        if !connection.gathers {
            connection.begin().await?;
        }
        Ok(Self(connection))
    }

    /// Makes everything in it permanent.
    ///
    /// # Errors
    ///
    /// Those of the gathered writes; [`StoreError::Stale`] if one of them misses its row.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.make_permanent().await
    }

    /// One statement alone is its own transaction.
    async fn make_permanent(&mut self) -> Result<(), StoreError> {
        match (self.in_transaction, self.batch.is_empty()) {
            (false, true) => return Ok(()),
            (false, false) if !self.is_pooled() => return self.send_batch().await,
            _ => self.0.enter().await?,
        };
        self.end(COMMIT).await
    }

    /// Undoes everything in it, before the caller goes on.
    pub async fn rollback(mut self) -> Result<(), StoreError> {
        self.batch = Batch::default();
        if self.in_transaction { self.end(ROLLBACK).await } else { Ok(()) }
    }

    /// Makes everything so far permanent, and begins again without its locks.
    pub async fn restart(&mut self) -> Result<(), StoreError> {
        self.make_permanent().await?;
        if self.gathers { Ok(()) } else { self.begin().await }
    }
}

impl Deref for Writer {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.0
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.0
    }
}

impl Deref for Tx {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.0
    }
}

impl From<StoreError> for Unavailable {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(unavailable) => unavailable,
            other => Self::new(Dependency::Sql, other),
        }
    }
}
