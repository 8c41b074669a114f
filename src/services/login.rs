//! Logging in by password.

use crate::{
    crypto::Hasher,
    domain::{Client, Identifier, NewSession, Origin, Password, Registration, SessionTokens, User},
    engine::{CodeChecker, Core, EventLog, PasswordChecker, PasswordOwner, RateLimits, SessionOpener},
    error::Error,
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
        let session = match self.open_by_password(&user, client, false).await {
            Err(Error::Conflict) => self.open_changed(&user, client).await,
            opened => opened,
        }?;
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

    async fn open_by_password(&self, user: &User, client: &Client, makes_room: bool) -> Result<NewSession, Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let (session, events) = self.opener.open(&mut tx, user, client, (None, makes_room), now).await?;
        self.event_log.append(&mut tx, events, Origin::client(client), now).await?;
        self.event_log.commit(tx).await?;
        Ok(NewSession { user: user.clone(), session, is_new: false })
    }

    /// Once more, for an account with no room for one more session, or changed since its hash was read: by a new address,
    /// which leaves the password valid, or by more.
    async fn open_changed(&self, read: &User, client: &Client) -> Result<NewSession, Error> {
        let user = self.core.store.read().await?.user(read.id).await?;
        let user = user.filter(|user| user.password_hash == read.password_hash && user.disabled_at.is_none());
        let user = user.ok_or(Error::InvalidCredentials)?;
        self.open_by_password(&user, client, true).await.map_err(|error| match error {
            Error::Conflict => Error::InvalidCredentials,
            other => other,
        })
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
