//! The services that the command line calls, whether or not servers run.

use std::sync::Arc;

use super::root_key::keyring;
use crate::{
    config::Settings,
    crypto::Tokens,
    domain::{OsRandom, SystemClock},
    engine::{Core, DeferredLines, EventLog, SessionOpener, SessionTurns},
    services::{AbuseService, AccountService, AuditService, DeliveryService, SessionService},
    store::Store,
};
use anyhow::{Context as _, bail};

/// The services that the command line calls.
pub struct AdminServices {
    /// The database.
    pub store: Store,
    /// Accounts.
    pub accounts: AccountService,
    /// Sessions.
    pub sessions: SessionService,
    /// The audit.
    pub audit: AuditService,
    /// The pumping guard.
    pub abuse: AbuseService,
    /// Messages and events.
    pub deliveries: DeliveryService,
}

/// Opens an existing database with its key.
pub async fn admin_services(settings: &Settings) -> anyhow::Result<AdminServices> {
    if let Some(file) = settings.store.file().filter(|file| !file.exists()) {
        bail!("there is no database at {} yet; run `enroll migrate` or `enroll serve` first", file.display());
    }
    let store = Store::open(&settings.store, false)?;
    store.read().await.map(drop).with_context(|| format!("cannot open {}", settings.database_without_password()))?;
    let keyring = keyring(settings, &store, &OsRandom, false).await?;
    let core = Core {
        store: store.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(OsRandom),
        keyring,
        turns: SessionTurns::default(),
    };
    let event_log = EventLog {
        core: core.clone(),
        wake: Vec::new(), // servers look for events once a second
        personal_data: settings.events.personal_data,
        deferred: DeferredLines::bounded(1).0,
    };
    let opener = SessionOpener {
        core: core.clone(),
        tokens: Tokens::new(core.keyring.clone(), settings.tokens.clone()),
        settings: settings.sessions,
        deferred: event_log.deferred.clone(),
    };
    Ok(AdminServices {
        store,
        accounts: AccountService {
            core: core.clone(),
            event_log: event_log.clone(),
            test_identities: settings.codes.test_identities.clone(),
        },
        audit: AuditService { core: core.clone() },
        abuse: AbuseService { core: core.clone(), settings: settings.abuse.numbers },
        deliveries: DeliveryService { core: core.clone() },
        sessions: SessionService { core, opener, event_log },
    })
}
