use std::{sync::Arc, time::Duration};

use crate::{
    crypto::{hex, sha256},
    domain::{Address, Client, Clock, Random, Timestamp, User, Windows},
    error::{Error, Refused},
    limits::{Counter, Limiter, Taken},
};

/// How much passes, for each thing that is limited.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    pub sends_per_client: Windows,
    pub sends_per_destination: Windows,
    pub wrong_tries_per_destination: Windows,
    pub wrong_tries_per_client: Windows,
    pub login_failures_per_identifier: Windows,
    pub login_failures_per_client: Windows,
    pub logins_per_client: Windows,
}

/// Counts what clients do and what happens to identifiers, before it happens.
#[derive(Clone)]
pub struct Throttle {
    limiter: Arc<dyn Limiter>,
    /// This node's own, for passwords while the other can't be reached: people still log in, and
    /// nobody guesses without bound.
    local: Arc<dyn Limiter>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: LimitSettings,
}

/// A use that was counted; it stays counted unless given back.
#[must_use]
pub(crate) struct Slot {
    limiter: Arc<dyn Limiter>,
    counter: Counter,
}

#[derive(Clone, Copy)]
enum Kind {
    Requests,
    /// Calls that hash a password.
    Hashes,
    /// Guesses at codes.
    Guesses,
    /// Passwords tried.
    Passwords,
}

impl Kind {
    fn falls_back(self) -> bool {
        matches!(self, Self::Hashes | Self::Passwords)
    }
}

impl Throttle {
    pub fn new(
        limiter: Arc<dyn Limiter>,
        local: Arc<dyn Limiter>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        settings: LimitSettings,
    ) -> Self {
        Self { limiter, local, clock, random, settings }
    }

    pub fn settings(&self) -> &LimitSettings {
        &self.settings
    }

    /// A code to be sent for this client.
    pub(crate) async fn send(&self, client: &Client) -> Result<Slot, Error> {
        let windows = &self.settings.sends_per_client;
        self.take(Kind::Requests, "client-sends", &client.network(), windows, Timestamp::default()).await
    }

    /// A password to be hashed for this client.
    pub(crate) async fn hash(&self, client: &Client) -> Result<Slot, Error> {
        let windows = &self.settings.logins_per_client;
        self.take(Kind::Hashes, "client-hashes", &client.network(), windows, Timestamp::default()).await
    }

    /// A code guessed by this client.
    pub(crate) async fn guess(&self, client: &Client) -> Result<Slot, Error> {
        let windows = &self.settings.wrong_tries_per_client;
        self.take(Kind::Guesses, "client-guesses", &client.network(), windows, Timestamp::default()).await
    }

    /// A password tried for this identifier, as given, by this client.
    pub(crate) async fn password(&self, identifier: &str, since: Timestamp, client: &Client) -> Result<Counted, Error> {
        // The client's first: who is refused there leaves no trace at any identifier.
        let windows = &self.settings.login_failures_per_client;
        let network = client.network();
        let of_client = self.take(Kind::Passwords, "client-failures", &network, windows, Timestamp::default()).await?;
        let windows = &self.settings.login_failures_per_identifier;
        match self.take(Kind::Passwords, FAILURES, &identifier_name(identifier), windows, since).await {
            Ok(of_identifier) => Ok(Counted([of_identifier, of_client])),
            Err(refused) => {
                of_client.give_back().await;
                Err(refused)
            }
        }
    }

    /// Forgets the wrong passwords of who has come in: by the identifier as given, and by the
    /// account's proven ones.
    pub(crate) async fn forgive(&self, given: Option<String>, user: &User) {
        let mut identifiers: Vec<String> = user.proven().iter().map(Address::key).chain(given).collect();
        identifiers.sort_unstable();
        identifiers.dedup();
        let names = identifiers.iter().map(|identifier| format!("{FAILURES}:{}", identifier_name(identifier)));
        futures_util::future::join_all(names.map(async |name| {
            if let Err(error) = self.local.clear(&name).await.and(self.limiter.clear(&name).await) {
                tracing::warn!(%error, "wrong passwords of somebody who came in stay counted");
            }
        }))
        .await;
    }

    async fn take(
        &self,
        kind: Kind,
        policy: &'static str,
        who: &str,
        windows: &Windows,
        since: Timestamp,
    ) -> Result<Slot, Error> {
        let counter = Counter {
            name: format!("{policy}:{who}"),
            windows: windows.clone(),
            since,
            entry: hex(&self.random.bytes::<8>()),
        };
        let now = self.clock.now();
        let mut limiter = &self.limiter;
        let asked = if windows.is_unlimited() { Ok(Taken::Passed) } else { limiter.take(&counter, now).await };
        let taken = match asked {
            Err(_) if kind.falls_back() => {
                limiter = &self.local;
                limiter.take(&counter, now).await?
            }
            taken => taken?,
        };
        match taken {
            Taken::Passed => Ok(Slot { limiter: Arc::clone(limiter), counter }),
            Taken::Refused { count, window_s, opens } => {
                let refused = Refused {
                    policy,
                    quota: count,
                    window: Duration::from_secs(window_s.into()),
                    retry_after: opens.after(now),
                };
                Err(match kind {
                    Kind::Requests | Kind::Hashes => Error::TooManyRequests(refused),
                    Kind::Guesses | Kind::Passwords => Error::TooManyAttempts(refused),
                })
            }
        }
    }
}

pub(crate) const FAILURES: &str = "identifier-failures";

/// Identifiers are kept hashed: a counter's name is no place for an address.
fn identifier_name(identifier: &str) -> String {
    hex(&sha256(identifier.to_ascii_lowercase().as_bytes()))
}

/// A password that was counted before it was compared.
#[must_use]
pub(crate) struct Counted([Slot; 2]);

impl Counted {
    /// Only a wrong one stays counted.
    pub(crate) async fn settle(self, was_wrong: bool) {
        if !was_wrong {
            let [of_identifier, of_client] = self.0;
            tokio::join!(of_identifier.give_back(), of_client.give_back());
        }
    }
}

impl Slot {
    /// The use is not to count. A part that is down keeps it counted, to the client's loss for a while.
    pub(crate) async fn give_back(self) {
        if self.counter.windows.is_unlimited() {
            return;
        }
        if let Err(error) = self.limiter.give_back(&self.counter).await {
            tracing::debug!(%error, "a use stays counted");
        }
    }
}
