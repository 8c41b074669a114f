use super::{Credentials, Issuer, Sessions, Throttle};
use crate::{
    crypto::{Hasher, Recipe, sha256},
    domain::{Address, Client, LoginId, OpenedSession, Password, Registration, User},
    error::Error,
    store::Store,
};

/// Logs people in by their password.
#[derive(Clone)]
pub struct LoginService {
    pub store: Store,
    pub issuer: Issuer,
    pub throttle: Throttle,
    pub hasher: Hasher,
    pub credentials: Credentials,
    pub sessions: Sessions,
}

/// What somebody says they are.
#[derive(Debug, Clone)]
pub enum Identifier {
    Address(Address),
    LoginId(LoginId),
}

/// An account keeps so many sessions, those opened last.
const SESSIONS_KEPT: i64 = 100;

impl Identifier {
    fn key(&self) -> String {
        match self {
            Self::Address(address) => address.key(),
            Self::LoginId(login_id) => login_id.key(),
        }
    }
}

impl LoginService {
    /// Opens a session for who knows the password; one hash is computed, whoever it is.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCredentials`] alike for a wrong password and an unknown name, counted for the
    /// name as given and the client; [`Error::TooManyAttempts`] where those are spent, for the right
    /// password too. [`Error::NotActivated`] only to who knows a pending registration's password.
    pub async fn log_in(
        &self,
        identifier: &Identifier,
        password: Option<&Password>,
        client: &Client,
    ) -> Result<OpenedSession, Error> {
        let key = identifier.key();
        let since = self.store.read().await?.destination(&sha256(key.as_bytes())).await?.lifted_at;
        let counted = self.throttle.password(&key, since, client).await?;
        let owner = self.owner(identifier, password, client).await;
        if !matches!(owner, Err(Error::InvalidCredentials)) {
            for slot in counted {
                slot.give_back().await;
            }
        }
        let opened = self.open(owner?, password, client).await?;
        self.throttle.forgive(&key).await;
        self.throttle.forgive(&opened.user.proven_address()).await;
        Ok(opened)
    }

    async fn owner(
        &self,
        identifier: &Identifier,
        password: Option<&Password>,
        client: &Client,
    ) -> Result<User, Error> {
        let _counted = self.throttle.hash(client).await?;
        let mut reading = self.store.read().await?;
        let account = match identifier {
            Identifier::Address(address) => reading.user_by_address(address).await?,
            Identifier::LoginId(login_id) => reading.user_by_login_id(login_id).await?,
        };
        let account = account.filter(|user| user.disabled_at.is_none());
        let mut pending = Vec::new();
        if let (None, Identifier::Address(address)) = (&account, identifier) {
            pending = self.credentials.pending(&mut reading, address).await?;
        }
        drop(reading); // a connection is not held while hashing

        let kept = account.as_ref().and_then(|user| user.password_hash.as_deref());
        let recipe = kept.or(pending.first().map(|newest| newest.password_hash.as_str())).and_then(Recipe::of);
        let recipe = recipe.unwrap_or_else(|| self.credentials.pending_recipe(&identifier.key()));
        let password = password.ok_or(Error::InvalidCredentials)?;
        let hash = self.hasher.hash(password, recipe).await?;
        match account {
            Some(user) if user.password_hash.as_deref() == Some(&hash) => Ok(user),
            Some(_) => Err(Error::InvalidCredentials),
            None => match pending.into_iter().find(|registration| registration.password_hash == hash) {
                Some(registration) => Err(self.not_activated(&registration).await?),
                None => Err(Error::InvalidCredentials),
            },
        }
    }

    async fn not_activated(&self, registration: &Registration) -> Result<Error, Error> {
        let now = self.issuer.clock.now();
        let challenge = self.store.read().await?.challenge(registration.verification_id, now).await?;
        let challenge = challenge.ok_or(Error::InvalidCredentials)?; // proven meanwhile
        Ok(Error::NotActivated(Box::new(self.issuer.issued(&challenge.verification, &challenge.destination, now))))
    }

    async fn open(&self, user: User, password: Option<&Password>, client: &Client) -> Result<OpenedSession, Error> {
        self.rehash(&user, password).await?;
        let now = self.sessions.clock.now();
        let mut tx = self.store.begin().await?;
        // Written with the epoch that was read with the hash: a reset meanwhile makes it void.
        let session = self.sessions.open(&mut tx, &user, client, false, now).await?;
        tx.drop_oldest_sessions(user.id, SESSIONS_KEPT).await?;
        tx.commit().await?;
        self.sessions.tokens_of(user, &session, now)
    }

    /// A hash cheaper than is configured now is made anew (OWASP Password Storage, work factors).
    async fn rehash(&self, user: &User, password: Option<&Password>) -> Result<(), Error> {
        let (Some(kept), Some(password)) = (&user.password_hash, password) else { return Ok(()) };
        if !Recipe::of(kept).is_some_and(|recipe| self.hasher.is_cheaper(&recipe)) {
            return Ok(());
        }
        let recipe = self.hasher.recipe(&self.sessions.random.bytes::<16>());
        let hash = self.hasher.hash(password, recipe).await?;
        Ok(self.store.write().await?.rehash_password(user, &hash).await?)
    }
}
