//! Clients that wait for what becomes of a verification.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Core;
use crate::{
    domain::{Challenge, DeliveryState},
    store::StoreError,
};

/// Those who wait on this node: one statement a second asks for all of them.
#[derive(Clone)]
pub struct VerificationWatch {
    core: Core,
    waiting: Arc<Mutex<HashMap<Uuid, watch::Sender<Option<Progress>>>>>,
    /// The node is going to stop: nobody waits any more.
    draining: CancellationToken,
}

/// What a wait can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    state: DeliveryState,
    generation: i64,
    is_current: bool,
}

/// A client that waits; dropped, it waits no more.
pub(crate) struct Waiting {
    id: Uuid,
    seen: Progress,
    news: watch::Receiver<Option<Progress>>,
    watch: VerificationWatch,
}

/// More are answered at once.
const MOST_FOR_ONE: usize = 4;

impl From<&Challenge> for Progress {
    fn from(challenge: &Challenge) -> Self {
        let verification = &challenge.verification;
        Self { state: verification.state, generation: verification.generation, is_current: challenge.is_current }
    }
}

impl VerificationWatch {
    /// A watch that ends with `draining`.
    pub fn new(core: Core, draining: CancellationToken) -> Self {
        Self { core, waiting: Arc::default(), draining }
    }

    /// A place to wait in, if there is one left for this verification.
    pub(crate) fn join(&self, challenge: &Challenge) -> Option<Waiting> {
        let id = challenge.verification.id;
        let mut waiting = self.lock();
        let sender = waiting.entry(id).or_insert_with(|| watch::Sender::new(None));
        let has_place = sender.receiver_count() < MOST_FOR_ONE && !self.draining.is_cancelled();
        has_place.then(|| Waiting { id, seen: challenge.into(), news: sender.subscribe(), watch: self.clone() })
    }

    /// Asks once for all that is waited for.
    pub async fn look(&self) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = {
            let mut waiting = self.lock();
            waiting.retain(|_, sender| sender.receiver_count() > 0);
            waiting.keys().copied().collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        let challenges = self.core.store.read().await?.challenges(&ids, self.core.now()).await?;
        let waiting = self.lock();
        for challenge in &challenges {
            if let Some(sender) = waiting.get(&challenge.verification.id) {
                sender.send_replace(Some(challenge.into()));
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, watch::Sender<Option<Progress>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Returns when something has changed, or the node is going to stop.
    pub(crate) async fn change(&mut self) {
        let seen = self.seen;
        tokio::select! {
            news = self.news.wait_for(|progress| progress.is_some_and(|progress| progress != seen)) => {
                if let Ok(progress) = news {
                    self.seen = progress.unwrap_or(seen);
                }
            }
            () = self.watch.draining.cancelled() => {}
        }
    }

    /// Whether it is worth waiting on.
    pub(crate) fn goes_on(&self) -> bool {
        !self.watch.draining.is_cancelled()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.watch.lock();
        if waiting.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.id);
        }
    }
}
