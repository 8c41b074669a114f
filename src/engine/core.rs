//! The parts that every service has.

use std::sync::Arc;

use uuid::Uuid;

use super::SessionTurns;
use crate::{
    crypto::Keyring,
    domain::{Client, Clock, Random, Timestamp, User},
    store::Store,
};

/// The parts that every service has; cheap to clone.
#[derive(Clone)]
pub struct Core {
    /// The database.
    pub store: Store,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The source of random bytes.
    pub random: Arc<dyn Random>,
    /// The keys that sign and seal.
    pub keyring: Keyring,
    /// The turns of sessions.
    pub turns: SessionTurns,
}

impl Core {
    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The account.
    pub user: User,
    /// The session of the access token.
    pub session: Uuid,
    /// The client.
    pub client: Client,
}
