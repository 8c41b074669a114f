//! Logging in by password.

use crate::{
    crypto::Hasher,
    domain::{
        Client, EventKind, Identifier, NewSession, Origin, Password, Reason, Registration, Session, SessionTokens,
        Timestamp, User,
    },
    engine::{
        CodeChecker, Core, EventLog, PasswordChecker, PasswordOwner, RateLimits, SessionOpener, once_on_conflict,
    },
    error::Error,
    store::Tx,
};

/// Logs people in by password.
#[derive(Clone)]
pub struct LoginService {
    pub(crate) core: Core,
    pub(crate) checker: CodeChecker,
    pub(crate) passwords: PasswordChecker,
    pub(crate) rate_limits: RateLimits,
    pub(crate) hasher: Hasher,
    pub(crate) opener: SessionOpener,
    pub(crate) event_log: EventLog,
}

/// An account keeps so many sessions, those opened last.
const SESSIONS_KEPT: i64 = 100;

impl LoginService {
    /// Opens a session by password.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCredentials`] alike for a wrong password and an unknown identifier;
    /// [`Error::TooManyAttempts`] once these are spent, for the right password too. [`Error::NotActivated`] only
    /// for the right password of a pending registration.
    pub async fn log_in(
        &self,
        identifier: &Identifier,
        password: Option<&Password>,
        client: &Client,
    ) -> Result<SessionTokens, Error> {
        let user = match self.passwords.check_login(identifier, password, client).await? {
            PasswordOwner::Account(user) => *user,
            PasswordOwner::Registration(registration) => return Err(self.not_activated(&registration).await?),
        };
        if let Err(error) = self.rehash(&user, password, client).await {
            tracing::warn!(%error, "an outdated password hash stays; the next login may replace it");
        }
        let session = once_on_conflict(|| self.open_by_password(&user, client)).await?;
        self.rate_limits.reset_failures(Some(identifier.key()), &user).await;
        self.opener.first_tokens(session)
    }

    async fn not_activated(&self, registration: &Registration) -> Result<Error, Error> {
        let now = self.core.now();
        let challenge = self.core.store.read().await?.challenge(registration.verification_id, now).await?;
        let challenge = challenge.ok_or(Error::InvalidCredentials)?; // proven meanwhile
        let code = self.checker.issuer.issued(&challenge.verification, &challenge.destination, now);
        Ok(Error::NotActivated(Box::new(code)))
    }

    async fn open_by_password(&self, user: &User, client: &Client) -> Result<NewSession, Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        if let Some(session) = self.opener.open(&mut tx, user, client, None, now).await? {
            return self.commit_session(tx, user.clone(), session, Origin::client(client), now).await;
        }
        // Changed since its hash was read: by a new address, which leaves the password valid, or by more.
        let user = tx.user(user.id).await?.filter(|changed| changed.password_hash == user.password_hash);
        let user = user.ok_or(Error::InvalidCredentials)?;
        let session = self.opener.open(&mut tx, &user, client, None, now).await?;
        self.commit_session(tx, user, session.ok_or(Error::InvalidCredentials)?, Origin::client(client), now).await
    }

    /// Makes room for the session, appends its events, and commits.
    pub(super) async fn commit_session(
        &self,
        mut tx: Tx,
        user: User,
        session: Session,
        origin: Origin<'_>,
        now: Timestamp,
    ) -> Result<NewSession, Error> {
        let dropped = tx.delete_oldest_sessions(&user, SESSIONS_KEPT, now).await?;
        let revoked = dropped.into_iter().map(|id| EventKind::revoked(user.id, id, Reason::Crowded));
        let events = std::iter::once(session.login_event()).chain(revoked);
        self.event_log.append(&mut tx, events, origin, now).await?;
        self.event_log.commit(tx).await?;
        Ok(NewSession { user, session, is_new: false })
    }

    /// Replaces a hash of another system, or one that is cheaper than the settings want (OWASP Password Storage, upgrading the work
    /// factor).
    async fn rehash(&self, user: &User, password: Option<&Password>, client: &Client) -> Result<(), Error> {
        let (Some(stored), Some(password)) = (&user.password_hash, password) else { return Ok(()) };
        if !self.hasher.is_outdated(stored) {
            return Ok(());
        }
        let hash = self.passwords.hash_new(password, client).await?;
        Ok(self.core.store.write().await?.rehash_password(user, &hash).await?)
    }
}
