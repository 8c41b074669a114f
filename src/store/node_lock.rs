//! The lock of a single node.

use std::{
    fs::File,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use super::StoreError;
use crate::domain::{Dependency, Unavailable};

/// The right to be the only node on a database, which codes in memory need.
pub enum NodeLock {
    /// An advisory lock.
    Postgres {
        /// How to connect.
        options: Box<PgConnectOptions>,
        /// How long the database is waited for.
        timeout: Duration,
        /// The connection that has the lock.
        held: Option<PgConnection>,
    },
    /// A locked file beside the database's.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The file, while it is locked.
        held: Option<File>,
    },
}

impl NodeLock {
    pub(super) fn postgres(options: PgConnectOptions, timeout: Duration) -> Self {
        Self::Postgres { options: Box::new(options), timeout, held: None }
    }

    pub(super) fn sqlite(database: &Path) -> Self {
        Self::Sqlite { path: database.with_extension("lock"), held: None }
    }

    /// Checks that this node has the lock, and takes it if it has not, or if the connection was lost; `false` if
    /// another node has it.
    pub async fn acquire(&mut self) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite { held: Some(_), .. } => Ok(true),
            Self::Sqlite { path, held } => {
                let io = |error: std::io::Error| StoreError::Unavailable(Unavailable::new(Dependency::Sql, error));
                let file = File::options().create(true).append(true).mode(0o600).open(path).map_err(io)?;
                *held = file.try_lock().is_ok().then_some(file);
                Ok(held.is_some())
            }
            Self::Postgres { options, timeout, held } => {
                if let Some(connection) = held {
                    if matches!(tokio::time::timeout(*timeout, connection.ping()).await, Ok(Ok(()))) {
                        return Ok(true);
                    }
                    *held = None;
                }
                let taken = tokio::time::timeout(*timeout, take(options)).await;
                *held =
                    taken.map_err(|_| Unavailable::new(Dependency::Sql, anyhow::anyhow!("no answer in time")))??;
                Ok(held.is_some())
            }
        }
    }
}

async fn take(options: &PgConnectOptions) -> Result<Option<PgConnection>, StoreError> {
    const LOCK: &str = "SELECT pg_try_advisory_lock(hashtext('enroll single node'))";
    let mut connection = PgConnection::connect_with(options).await?;
    let locked: bool = sqlx::query_scalar(LOCK).fetch_one(&mut connection).await?;
    Ok(locked.then_some(connection))
}
