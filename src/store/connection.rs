use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use sqlx::{PgConnection, SqliteConnection};
use tokio::time::error::Elapsed;

use super::{StoreError, pool::Lease};
use crate::{
    circuit_breaker::Breaker,
    domain::{Part, Timestamp, Unavailable},
};

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
    Postgres(Lease<PgConnection>),
    Sqlite(Lease<SqliteConnection>),
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

impl Connection {
    pub(super) fn new(raw: Raw, timeout: Duration, breaker: Arc<Breaker>) -> Self {
        Self { raw, timeout, breaker, in_statement: false, in_transaction: false }
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
        if !matches!(answer, Err(StoreError::Unavailable(_))) {
            self.in_statement = false;
            self.breaker.answered();
        }
        answer
    }

    pub(super) fn is_embedded(&self) -> bool {
        matches!(self.raw, Raw::Sqlite(_))
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
        let raw = std::mem::replace(&mut self.raw, Raw::Gone);
        if self.in_statement {
            return; // it closes: its answer may still come
        }
        if !self.in_transaction {
            return raw.give_back();
        }
        let mut undo = Self::new(raw, self.timeout, Arc::clone(&self.breaker));
        tokio::spawn(async move {
            if let Err(error) = undo.end_transaction("ROLLBACK").await {
                tracing::debug!(%error, "a transaction was left to the database to undo");
            }
        });
    }
}

impl Raw {
    fn give_back(self) {
        match self {
            Self::Postgres(lease) => lease.give_back(),
            Self::Sqlite(lease) => lease.give_back(),
            Self::Gone => {}
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
    pub(super) async fn begin(mut connection: Connection, how: &'static str) -> Result<Self, StoreError> {
        execute!(connection, sqlx::raw_sql(how))?;
        connection.in_transaction = true;
        Ok(Self(connection))
    }

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
