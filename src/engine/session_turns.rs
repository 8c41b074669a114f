//! A bound on what one session may ask of the database at once.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::error::Error;

/// The calls of each session that write take turns, so that one session cannot have all connections of the database.
#[derive(Clone, Default)]
pub struct SessionTurns(Arc<Mutex<HashMap<Uuid, Queue>>>);

struct Queue {
    turns: Arc<Semaphore>,
    length: usize,
}

/// A session's turn, until it is dropped.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

struct Place {
    session: Uuid,
    of: SessionTurns,
}

const AT_ONCE: usize = 2;
const LONGEST_QUEUE: usize = 64;

impl SessionTurns {
    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if too many calls of the session wait already.
    pub(crate) async fn take(&self, session: Uuid) -> Result<Turn, Error> {
        let turns = self.queue_up(session).ok_or(Error::Overloaded)?;
        let place = Place { session, of: self.clone() };
        let permit = turns.acquire_owned().await.map_err(|_| Error::Overloaded)?;
        Ok(Turn { _permit: permit, _place: place })
    }

    fn queue_up(&self, session: Uuid) -> Option<Arc<Semaphore>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Queue { turns: Arc::new(Semaphore::new(AT_ONCE)), length: 0 };
        let queue = queues.entry(session).or_insert_with(new);
        (queue.length < LONGEST_QUEUE).then(|| {
            queue.length += 1;
            Arc::clone(&queue.turns)
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut queue) = queues.entry(self.session) {
            queue.get_mut().length -= 1;
            if queue.get().length == 0 {
                queue.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_session_has_two_turns_and_a_queue() {
        let (turns, session) = (SessionTurns::default(), Uuid::nil());
        let held = [turns.take(session).await.ok().unwrap(), turns.take(session).await.ok().unwrap()];
        let waiting: Vec<_> = (0..62)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.take(session).await.map(drop) })
            })
            .collect();
        while turns.0.lock().unwrap()[&session].length < LONGEST_QUEUE {
            tokio::task::yield_now().await;
        }
        assert!(turns.take(session).await.is_err(), "the queue is full");
        assert!(turns.take(Uuid::max()).await.is_ok(), "another session does not wait");
        drop(held);
        assert!(join_all(waiting).await.into_iter().all(|taken| taken.unwrap().is_ok()));
        assert!(turns.0.lock().unwrap().is_empty(), "nothing is kept of a session that asks for nothing");
    }
}
