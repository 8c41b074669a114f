//! Rate limits: uses are counted before the thing is done.

use std::{sync::Arc, time::Duration};

use super::{Core, DeferredLines};
use crate::{
    domain::{Address, Client, CodePolicy, DAY, Quota, RateLimit, Timestamp, User, Way, hex, sha256},
    error::{Error, ExceededLimit},
    limits::{Denial, LimitKey, Limiter},
};

/// The quota of each limited operation.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Codes requested by a client.
    pub sends_per_client: RateLimit,
    /// Codes sent to a destination.
    pub sends_per_destination: RateLimit,
    /// Wrong codes of a destination and purpose.
    pub wrong_tries_per_destination: RateLimit,
    /// Wrong codes of a client.
    pub wrong_tries_per_client: RateLimit,
    /// Wrong passwords of an identifier.
    pub login_failures_per_identifier: RateLimit,
    /// Wrong passwords of a client.
    pub login_failures_per_client: RateLimit,
    /// Calls of a client that hash a password.
    pub logins_per_client: RateLimit,
    /// Wrong codes of a purpose over the whole service, beyond which short codes are longer; `None`: any number.
    pub wrong_codes: Option<Quota>,
    /// Wrong passwords in a row, by whatever name, that close an account's password; `None`: any number.
    pub login_failures_in_a_row: Option<u32>,
}

/// Counts the uses of clients and the failures of identifiers.
#[derive(Clone)]
pub struct RateLimits {
    pub(crate) core: Core,
    /// The limiter of the fleet.
    pub(crate) shared: Arc<dyn Limiter>,
    /// The limiter of this node, for passwords while the shared one is down: people can still log in, and
    /// nobody can guess without bound.
    pub(crate) local: Arc<dyn Limiter>,
    pub(crate) settings: LimitSettings,
    /// Refusals for the audit.
    pub(crate) deferred: DeferredLines,
}

/// A counted use; it stays counted unless it is cancelled.
#[must_use]
pub(crate) struct Reservation {
    limiter: Arc<dyn Limiter>,
    key: LimitKey,
}

/// A code that a client asked for, counted.
pub(crate) enum SendCount {
    /// Within all its limits.
    Within(Reservation),
    /// Within the shortest alone; and the longer one that is spent.
    BeyondLonger(Reservation, ExceededLimit),
}

/// A password that was counted before it is compared.
#[must_use]
pub(crate) struct PasswordAttempt([Reservation; 2]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Send,
    Hash,
    CodeAttempt,
    PasswordAttempt,
}

impl Operation {
    fn may_use_local(self) -> bool {
        matches!(self, Self::Hash | Self::PasswordAttempt)
    }

    fn denied(self, policy: &'static str, denial: Denial, now: Timestamp) -> Error {
        let exceeded = ExceededLimit { policy, quota: denial.quota, retry_after: denial.allowed_at.after(now) };
        match self {
            Self::Send | Self::Hash => Error::TooManyRequests(exceeded),
            Self::CodeAttempt | Self::PasswordAttempt => Error::TooManyAttempts(exceeded),
        }
    }
}

const CLIENT_SENDS: &str = "client-sends";
const CLIENT_ATTEMPTS: &str = "client-guesses";
const IN_A_ROW: &str = "failures-in-a-row";
/// The policy of wrong passwords of an identifier.
pub(crate) const IDENTIFIER_FAILURES: &str = "identifier-failures";

impl RateLimits {
    /// Counts a code that this client asks for.
    pub(crate) async fn count_send(&self, client: &Client) -> Result<SendCount, Error> {
        let limit = &self.settings.sends_per_client;
        match self.reserve_for_client(Operation::Send, CLIENT_SENDS, limit, client).await {
            Ok(reservation) => Ok(SendCount::Within(reservation)),
            Err(Error::TooManyRequests(beyond)) if Some(beyond.quota.span()) > limit.shortest().map(Quota::span) => {
                let reservation = self.count_send_within_shortest(client).await?;
                Ok(SendCount::BeyondLonger(reservation, beyond))
            }
            Err(error) => Err(error),
        }
    }

    /// Counts a code that this client asks for, which only the shortest of its limits can refuse.
    pub(crate) async fn count_send_within_shortest(&self, client: &Client) -> Result<Reservation, Error> {
        let limit = self.settings.sends_per_client.shortest_alone();
        self.reserve_for_client(Operation::Send, CLIENT_SENDS, &limit, client).await
    }

    /// Counts the one use of a thing; `None` if it was used within `span`.
    pub(crate) async fn use_once(&self, kind: &str, name: &str, span: Duration) -> Result<Option<Reservation>, Error> {
        let key = LimitKey {
            names: vec![(format!("{kind}:{}", hex(&sha256(name.as_bytes()))), 1)],
            limit: RateLimit::of(Quota::new(1, span)),
            since: Timestamp::default(),
            use_id: hex(&self.core.random.bytes::<8>()),
        };
        let denial = self.shared.reserve(&key, self.core.now()).await?;
        Ok(denial.is_none().then(|| Reservation { limiter: Arc::clone(&self.shared), key }))
    }

    /// Hashes a password for this client, which is counted before; only what was not hashed does not stay counted.
    pub(crate) async fn count_hash<T>(
        &self,
        client: &Client,
        hashing: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = &self.settings.logins_per_client;
        let reservation = self.reserve_for_client(Operation::Hash, "client-hashes", limit, client).await?;
        let outcome = hashing.await;
        if matches!(outcome, Err(Error::Overloaded)) {
            reservation.cancel().await;
        }
        outcome
    }

    /// The use of this client's limit that a code attempt is; whoever judges it counts it.
    pub(crate) fn attempt_of(&self, client: &Client) -> LimitKey {
        let limit = &self.settings.wrong_tries_per_client;
        self.limit_key(CLIENT_ATTEMPTS, client.counted_networks(), limit, Timestamp::default())
    }

    /// The refusal of an attempt of this client.
    pub(crate) fn attempt_denied(denial: Denial, now: Timestamp) -> Error {
        Operation::CodeAttempt.denied(CLIENT_ATTEMPTS, denial, now)
    }

    /// Takes a counted attempt back.
    pub(crate) async fn cancel_attempt(&self, key: LimitKey) {
        Reservation { limiter: Arc::clone(&self.shared), key }.cancel().await;
    }

    /// Counts a code attempt of this client.
    pub(crate) async fn count_attempt(&self, client: &Client) -> Result<Reservation, Error> {
        let limit = &self.settings.wrong_tries_per_client;
        self.reserve_for_client(Operation::CodeAttempt, CLIENT_ATTEMPTS, limit, client).await
    }

    /// Counts an attempt without an id where no code lives, by the policy that a code there would have.
    pub(crate) async fn count_attempt_at_nobody(&self, way: Way<'_>, policy: CodePolicy) -> Result<(), Error> {
        let subject = vec![(way_name(way), 1)];
        let limit = RateLimit::of(Quota::new(policy.tries, policy.ttl));
        self.reserve(Operation::CodeAttempt, "code-tries", subject, &limit, Timestamp::default()).await.map(drop)
    }

    /// Counts a password attempt for this identifier, as given, and this client.
    pub(crate) async fn count_password(
        &self,
        identifier: &str,
        since: Timestamp,
        client: &Client,
    ) -> Result<PasswordAttempt, Error> {
        let operation = Operation::PasswordAttempt;
        // The client's first: a client that is refused leaves no trace at any identifier.
        let limit = &self.settings.login_failures_per_client;
        let of_client = self.reserve_for_client(operation, "client-failures", limit, client).await?;
        let limit = &self.settings.login_failures_per_identifier;
        let subject = vec![(identifier_name(identifier), 1)];
        match self.reserve(operation, IDENTIFIER_FAILURES, subject, limit, since).await {
            Ok(of_identifier) => Ok(PasswordAttempt([of_identifier, of_client])),
            Err(error) => {
                of_client.cancel().await;
                Err(error)
            }
        }
    }

    /// Whether so many passwords in a row were wrong that no more are judged; with one more, if `adds`.
    pub(crate) async fn is_row_full(&self, subject: &str, adds: bool) -> Result<bool, Error> {
        let Some(most) = self.settings.login_failures_in_a_row else { return Ok(false) };
        let (name, now) = (format!("{IN_A_ROW}:{subject}"), self.core.now());
        let length = match self.shared.in_a_row(&name, most, adds, now).await {
            Ok(length) => length,
            Err(_) => self.local.in_a_row(&name, most, adds, now).await?,
        };
        // One more after it was lifted does not fill it anew.
        Ok(if adds { length > 0 && length.is_multiple_of(most) } else { length >= most })
    }

    /// The answer for a password that is closed.
    pub(crate) fn password_closed(&self) -> Error {
        let most = self.settings.login_failures_in_a_row.unwrap_or_default();
        let quota = Quota::new(most, DAY);
        Error::TooManyAttempts(ExceededLimit { policy: "password-closed", quota, retry_after: DAY })
    }

    /// Forgets the wrong passwords of a person who has authenticated: under the identifier as given, and under
    /// the account's proven addresses.
    pub(crate) async fn reset_failures(&self, given: Option<String>, user: &User) {
        let proven = user.proven_addresses();
        let mut identifiers: Vec<String> = proven.iter().map(Address::key).chain(given).collect();
        identifiers.sort_unstable();
        identifiers.dedup();
        let names =
            identifiers.iter().map(|identifier| format!("{IDENTIFIER_FAILURES}:{}", identifier_name(identifier)));
        let names = names.chain([format!("{IN_A_ROW}:{}", user.id)]);
        futures_util::future::join_all(names.map(async |name| {
            if let Err(error) = self.local.reset(&name).await.and(self.shared.reset(&name).await) {
                tracing::warn!(%error, "wrong passwords stay counted after a login");
            }
        }))
        .await;
        if user.password_closed_at.is_some() {
            let reopen = async { self.core.store.write().await?.reopen_password(user.id).await };
            if let Err(error) = reopen.await {
                tracing::warn!(%error, "a password stays closed after a login");
            }
        }
    }

    async fn reserve_for_client(
        &self,
        operation: Operation,
        policy: &'static str,
        limit: &RateLimit,
        client: &Client,
    ) -> Result<Reservation, Error> {
        self.reserve(operation, policy, client.counted_networks(), limit, Timestamp::default()).await
    }

    async fn reserve(
        &self,
        operation: Operation,
        policy: &'static str,
        subjects: Vec<(String, u32)>,
        limit: &RateLimit,
        since: Timestamp,
    ) -> Result<Reservation, Error> {
        let key = self.limit_key(policy, subjects, limit, since);
        let now = self.core.now();
        let mut limiter = &self.shared;
        let denial = if limit.is_unlimited() { Ok(None) } else { limiter.reserve(&key, now).await };
        let denial = match denial {
            Err(_) if operation.may_use_local() => {
                limiter = &self.local;
                limiter.reserve(&key, now).await?
            }
            denial => denial?,
        };
        let Some(denial) = denial else { return Ok(Reservation { limiter: Arc::clone(limiter), key }) };
        Err(operation.denied(policy, denial, now))
    }

    fn limit_key(
        &self,
        policy: &'static str,
        subjects: Vec<(String, u32)>,
        limit: &RateLimit,
        since: Timestamp,
    ) -> LimitKey {
        LimitKey {
            names: subjects.into_iter().map(|(subject, times)| (format!("{policy}:{subject}"), times)).collect(),
            limit: limit.clone(),
            since,
            use_id: hex(&self.core.random.bytes::<8>()),
        }
    }
}

/// The hash comes first: counters that fill the memory are grouped by the first digits of their subject, and a purpose
/// must not be such a group.
fn way_name(way: Way<'_>) -> String {
    format!("{}:{}", way.record_key(), way.purpose.as_str())
}

/// Identifiers are hashed: the name of a counter is no place for an address.
pub(super) fn identifier_name(identifier: &str) -> String {
    hex(&sha256(identifier.to_ascii_lowercase().as_bytes()))
}

impl PasswordAttempt {
    /// Keeps only a wrong password counted.
    pub(crate) async fn settle(self, was_wrong: bool) {
        if !was_wrong {
            let [of_identifier, of_client] = self.0;
            tokio::join!(of_identifier.cancel(), of_client.cancel());
        }
    }
}

impl Reservation {
    /// Takes the use back. If the limiter is down it stays counted, to the client's loss for a while.
    pub(crate) async fn cancel(self) {
        if self.key.limit.is_unlimited() {
            return;
        }
        if let Err(error) = self.limiter.cancel(&self.key).await {
            tracing::debug!(%error, "a use stays counted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Email, Purpose};

    #[test]
    fn the_name_of_a_way_begins_with_its_hash() {
        let address = Address::Email(Email::parse("ann@example.com").unwrap());
        let way = Way::new(Purpose::Login, &address);
        assert_eq!(way_name(way), format!("{}:login", address.hash()));
    }
}
