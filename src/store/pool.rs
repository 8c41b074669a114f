use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::Connection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Connections kept open, at most so many.
///
/// Unlike sqlx' own pool it takes a connection back as it is, without a round trip: whether one is
/// fit is known by who used it, and one that sat idle is looked at when it is wanted again.
pub(super) struct Pool<C: Connection>(Arc<Inner<C>>);

struct Inner<C: Connection> {
    options: C::Options,
    timeout: Duration,
    permits: Arc<Semaphore>,
    /// The last one used last, so that the others fall idle.
    idle: Mutex<Vec<(C, Instant)>>,
}

/// A connection for a while. Dropped, it closes; [`give_back`](Lease::give_back) keeps it open.
pub(super) struct Lease<C: Connection> {
    connection: C,
    inner: Arc<Inner<C>>,
    _permit: OwnedSemaphorePermit,
}

/// Longer idle, a connection may have been cut by what is between.
const FRESH: Duration = Duration::from_secs(1);
const IDLE_AT_MOST: Duration = Duration::from_mins(5);

impl<C: Connection> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connection> Pool<C> {
    pub(super) fn new(options: C::Options, most: u32, timeout: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(most as usize));
        Self(Arc::new(Inner { options, timeout, permits, idle: Mutex::default() }))
    }

    pub(super) fn options(&self) -> &C::Options {
        &self.0.options
    }

    /// # Errors
    ///
    /// [`sqlx::Error::PoolTimedOut`] where none was free, or could be opened, in time.
    pub(super) async fn lease(&self) -> Result<Lease<C>, sqlx::Error> {
        let leasing = async {
            let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            loop {
                let idle = self.idle().pop();
                let connection = match idle {
                    None => C::connect_with(&self.0.options).await?,
                    Some((connection, since)) if since.elapsed() < FRESH => connection,
                    Some((mut connection, _)) => match connection.ping().await {
                        Ok(()) => connection,
                        Err(_) => continue, // cut meanwhile; the next may be too
                    },
                };
                return Ok(Lease { connection, inner: Arc::clone(&self.0), _permit: permit });
            }
        };
        tokio::time::timeout(self.0.timeout, leasing).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Gives no more out, and closes those that nobody uses.
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

impl<C: Connection> Lease<C> {
    /// For the next one: no statement and no transaction may be open on it.
    pub(super) fn give_back(self) {
        let Self { connection, inner, _permit: permit } = self;
        if inner.permits.is_closed() {
            return;
        }
        let mut idle = inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((connection, Instant::now()));
        // The oldest comes first.
        let over = idle.iter().take_while(|(_, since)| since.elapsed() > IDLE_AT_MOST).count();
        idle.drain(..over);
        drop(idle);
        drop(permit); // after the push: who waits for it finds the connection
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
