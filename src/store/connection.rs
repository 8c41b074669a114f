//! Connections and transactions, and how a statement runs on either database.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, PgConnection, SqlSafeStr as _, SqlStr, SqliteConnection, postgres::PgArguments,
    sqlite::SqliteArguments,
};
use tokio::time::error::Elapsed;

use super::{
    Sql, StoreError,
    batch::{Batch, Ends, SQLITE_BEGIN, Values},
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
    transaction: Transaction,
    /// Of a transaction: it begins with the first statement that locks or that writes with an answer, and gathers the
    /// writes without one.
    gathers: bool,
    pub(super) batch: Batch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    /// Of SQLite: it begins in one trip with the next statement.
    Due,
    Open,
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
        let begins = $connection.takes_begin();
        let answer = match &mut $connection.driver {
            $crate::store::connection::Driver::Postgres(driver) => {
                let ($db, $sql) = (&mut **driver, sqlx::SqlSafeStr::into_sql_str($statement.postgres));
                tokio::time::timeout(timeout, $body).await
            }
            $crate::store::connection::Driver::Sqlite(driver) => {
                let ($db, $sql) = (&mut **driver, $crate::store::connection::begun(begins, $statement.sqlite));
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

/// The text of a statement of SQLite, with which a transaction may begin.
pub(super) fn begun(begins: bool, sql: &'static str) -> SqlStr {
    if begins { AssertSqlSafe([SQLITE_BEGIN, sql].concat()).into_sql_str() } else { sql.into_sql_str() }
}

/// How many rows a query touches; the last count is its own, a `BEGIN` before it repeats an older one.
macro_rules! rows_affected {
    ($db:expr, $query:expr) => {
        futures_util::TryStreamExt::try_fold(sqlx::Executor::fetch_many($db, $query), 0, async |count, step| {
            Ok(step.left().map_or(count, |done| done.rows_affected()))
        })
    };
}
pub(super) use rows_affected;

/// Runs a statement and returns how many rows it touched.
macro_rules! execute {
    ($connection:expr, $statement:expr, [$($value:expr),* $(,)?]) => {
        $crate::store::connection::prepared!($connection, $statement, query, |db, query| {
            $crate::store::connection::rows_affected!(db, query$(.bind($value))*)
        })
    };
}
pub(super) use execute;

/// Gathers writes of rows, each bound by these values. What finds no row though it
/// [needs](crate::store::batch::Need) one fails with [`StoreError::Stale`] once it is sent.
macro_rules! write_rows {
    ($tx:expr, $need:ident, $statement:expr, $rows:expr, |$row:pat_param| [$($value:expr),* $(,)?]) => {{
        let mut added = Ok(());
        for rows in $rows.chunks($tx.batch.rows_at_once()) {
            let values = $tx.batch.push($statement, rows.len(), $crate::store::batch::Need::$need);
            for $row in rows {
                $(added = added.and_then(|()| values.add($value));)*
            }
        }
        added
    }};
}
pub(super) use write_rows;

/// Writes as [`write_rows`] does, once.
macro_rules! write_once {
    ($tx:expr, $need:ident, $statement:expr, $values:tt) => {
        $crate::store::connection::write_rows!($tx, $need, $statement, [()], |()| $values)
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
        let batch = Batch::new(match driver {
            Driver::Sqlite(_) => Values::Sqlite(SqliteArguments::default()),
            Driver::Postgres(_) | Driver::Gone => Values::Postgres(PgArguments::default()),
        });
        let (in_statement, transaction, gathers) = (false, Transaction::None, false);
        Self { driver, timeout, breaker, pooled, in_statement, transaction, gathers, batch }
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.is_some()
    }

    /// Before a statement that only reads: sends what was gathered, which it is to see, and begins the transaction that
    /// a single statement needs behind a pooler; `true` if it did.
    pub(super) async fn enter(&mut self) -> Result<bool, StoreError> {
        if self.batch.len() > 0 {
            self.begin_late().await?;
            self.send_batch(false).await?;
        }
        let enters = self.is_pooled() && !self.in_transaction();
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
        match self.driver {
            _ if self.in_transaction() => {}
            Driver::Sqlite(_) => self.transaction = Transaction::Due,
            Driver::Postgres(_) | Driver::Gone => self.begin().await?,
        }
        Ok(())
    }

    /// Sends what was gathered; with SQLite's `COMMIT` behind it, if it is the last.
    async fn send_batch(&mut self, last: bool) -> Result<(), StoreError> {
        let mut ends = Ends { begin: self.takes_begin(), commit: false };
        // One statement alone is its own transaction.
        if last && self.batch.is_for_sqlite() && (self.in_transaction() || self.batch.len() > 1) {
            ends = Ends { begin: !self.in_transaction(), commit: true };
            self.transaction = Transaction::Open;
        }
        let (sql, values) = self.batch.take(self.batch.is_for_sqlite().then_some(ends));
        let (sql, named, timeout) = (AssertSqlSafe(sql), !self.is_pooled(), self.begin_statement());
        let answer = match (&mut self.driver, values) {
            (Driver::Postgres(driver), Values::Postgres(values)) => {
                let query = sqlx::query_with(sql, values).persistent(named);
                tokio::time::timeout(timeout, query.execute(&mut **driver)).await.map(|done| done.map(drop))
            }
            (Driver::Sqlite(driver), Values::Sqlite(values)) => {
                let query = sqlx::query_with(sql, values).persistent(named);
                tokio::time::timeout(timeout, query.execute(&mut **driver)).await.map(|done| done.map(drop))
            }
            _ => unreachable!("a batch has its driver's values"),
        };
        self.end_statement(answer)?;
        if ends.commit {
            self.transaction = Transaction::None;
        }
        Ok(())
    }

    /// Whether SQLite's transaction begins with the statement that now comes.
    pub(super) fn takes_begin(&mut self) -> bool {
        let begins = self.transaction == Transaction::Due;
        if begins {
            self.transaction = Transaction::Open;
        }
        begins
    }

    fn in_transaction(&self) -> bool {
        self.transaction == Transaction::Open
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        let pooled = self.pooled.clone();
        on!(self, BEGIN_WRITING, |db, sql| async {
            let sql = pooled.map_or(sql, |begin| AssertSqlSafe(begin).into_sql_str());
            sqlx::raw_sql(sql).execute(db).await.map(drop)
        })?;
        self.transaction = Transaction::Open;
        Ok(())
    }

    async fn end(&mut self, command: Sql) -> Result<(), StoreError> {
        self.control(command).await?;
        self.transaction = Transaction::None;
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
        fetch!(fetch_one, self, SELECT_NOW, []).map(|(micros,)| Timestamp::from_micros(micros))
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
        fetch!(fetch_one, self, SELECT_IS_UTF8, []).map(|(is_utf8,)| is_utf8)
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
        if !self.in_transaction() {
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

    /// Takes the lock of all writers, where there is one, and lets it go.
    pub(super) async fn try_lock(&mut self) -> Result<(), StoreError> {
        self.begin().await?;
        self.end(ROLLBACK).await
    }
}

impl Tx {
    pub(super) fn new(mut connection: Writer) -> Self {
        connection.0.gathers = true;
        Self(connection)
    }

    /// Makes everything in it permanent.
    ///
    /// # Errors
    ///
    /// Those of the gathered writes; [`StoreError::Stale`] if one of them misses its row.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.restart().await
    }

    /// Makes everything so far permanent, and begins again without its locks.
    pub async fn restart(&mut self) -> Result<(), StoreError> {
        let is_gathered = self.batch.len() > 0;
        if is_gathered && (self.batch.is_for_sqlite() || !(self.in_transaction() || self.is_pooled())) {
            return self.send_batch(true).await;
        }
        if is_gathered || self.in_transaction() {
            self.0.enter().await?;
            self.end(COMMIT).await?;
        }
        Ok(())
    }

    /// Undoes everything in it, before the caller goes on.
    pub async fn rollback(mut self) -> Result<(), StoreError> {
        self.batch.clear();
        if self.in_transaction() { self.end(ROLLBACK).await } else { Ok(()) }
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
