use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    config::Settings,
    crypto::{Keyring, Tokens},
    domain::{Clock, OsRandom, Random, SystemClock},
    engine::{Journal, SessionOpener},
    services::{Accounts, Deliveries, Sessions},
    store::Store,
};

/// The services that the command line calls, beside servers that run or none.
pub struct Operator {
    pub store: Store,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub deliveries: Deliveries,
}

impl Operator {
    pub(super) fn new(settings: &Settings, store: Store, keyring: Keyring) -> Self {
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(OsRandom));
        let journal = Journal {
            keyring: keyring.clone(),
            random: Arc::clone(&random),
            wake: Arc::default(), // servers look for events once a second
            failures: mpsc::channel(1).0,
        };
        let accounts = Accounts {
            store: store.clone(),
            journal: journal.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
        };
        let deliveries = Deliveries { store: store.clone(), keyring: keyring.clone(), clock: Arc::clone(&clock) };
        let sessions = Sessions {
            store: store.clone(),
            opener: SessionOpener {
                tokens: Tokens::new(keyring, settings.tokens.clone()),
                clock,
                random,
                settings: settings.sessions,
            },
            journal,
        };
        Self { store, accounts, sessions, deliveries }
    }
}
