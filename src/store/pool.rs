//! A pool of connections.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// A bounded number of open connections.
///
/// Unlike the pool of sqlx it takes a connection back as it is, without a round trip: the user of a connection
/// knows whether it is fit, and one that sat idle is checked when it is wanted again.
pub(super) struct Pool<C: Connection>(Arc<PoolState<C>>);

struct PoolState<C: Connection> {
    options: C::Options,
    /// Runs on each new connection.
    set_up: Option<Arc<str>>,
    timeout: Duration,
    permits: Arc<Semaphore>,
    size: usize,
    /// The one used last comes last, so that the others fall idle.
    idle: Mutex<Vec<(C, Instant)>>,
}

/// A borrowed connection. Dropped, it closes; [`give_back`](Lease::give_back) keeps it open.
pub(super) struct Lease<C: Connection> {
    connection: C,
    pool: Arc<PoolState<C>>,
    _permit: OwnedSemaphorePermit,
}

/// A connection that was idle for longer may have been cut on the way.
const FRESH: Duration = Duration::from_secs(1);
const IDLE_AT_MOST: Duration = Duration::from_mins(5);

impl<C: Connection> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connection> Pool<C>
where
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    pub(super) fn new(options: C::Options, set_up: Option<Arc<str>>, size: u32, timeout: Duration) -> Self {
        let size = size as usize;
        let permits = Arc::new(Semaphore::new(size));
        Self(Arc::new(PoolState { options, set_up, timeout, permits, size, idle: Mutex::default() }))
    }

    pub(super) fn options(&self) -> &C::Options {
        &self.0.options
    }

    /// Borrows a connection.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::PoolTimedOut`] if none was free, or could be opened, in time.
    pub(super) async fn lease(&self) -> Result<Lease<C>, sqlx::Error> {
        let leasing = async {
            let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            loop {
                let idle = self.idle().pop();
                let connection = match idle {
                    None => self.connect().await.map_err(outage)?,
                    Some((connection, since)) if since.elapsed() < FRESH => connection,
                    Some((mut connection, _)) => match connection.ping().await {
                        Ok(()) => connection,
                        Err(_) => continue, // cut meanwhile; the next one may be too
                    },
                };
                return Ok(Lease { connection, pool: Arc::clone(&self.0), _permit: permit });
            }
        };
        tokio::time::timeout(self.0.timeout, leasing).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn connect(&self) -> Result<C, sqlx::Error> {
        let mut connection = C::connect_with(&self.0.options).await?;
        if let Some(set_up) = &self.0.set_up {
            sqlx::raw_sql(AssertSqlSafe(Arc::clone(set_up))).execute(&mut connection).await?;
        }
        Ok(connection)
    }

    /// The connections in use, and the most that there may be.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.0.size - self.0.permits.available_permits(), self.0.size)
    }

    /// Lends no more, and closes the idle ones.
    pub(super) async fn close(&self) {
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for (connection, _) in idle {
            let _ = connection.close().await;
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(C, Instant)>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever keeps a connection from being opened is an outage, whatever its code: a closed database, a role that may
/// not log in, too many clients.
pub(super) fn outage(error: sqlx::Error) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(error))
}

impl<C: Connection> Lease<C> {
    /// Keeps the connection for the next caller: no statement and no transaction may be open on it.
    pub(super) fn give_back(self) {
        let Self { connection, pool, _permit: permit } = self;
        if pool.permits.is_closed() {
            return;
        }
        let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((connection, Instant::now()));
        // The oldest comes first.
        let expired = idle.iter().take_while(|(_, since)| since.elapsed() > IDLE_AT_MOST).count();
        idle.drain(..expired);
        drop(idle);
        drop(permit); // after the push, so that the next caller finds the connection
    }
}

impl<C: Connection> Deref for Lease<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C: Connection> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}
