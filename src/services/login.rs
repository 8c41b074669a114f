use super::Sessions;
use crate::{
    crypto::{Hasher, Recipe, sha256},
    domain::{
        Address, Client, Happening, Holder, LoginId, Method, OpenedSession, Password, Reason, Registration, Session,
        Timestamp, User, Verification,
    },
    engine::{Credentials, Guessing, Issuer, Journal, Proof, Throttle, code_checker::Found, retry::run_twice},
    error::Error,
    store::{Store, Tx},
};

/// Logs people in, by their password or by a code.
#[derive(Clone)]
pub struct LoginService {
    pub store: Store,
    pub issuer: Issuer,
    pub throttle: Throttle,
    pub hasher: Hasher,
    pub credentials: Credentials,
    pub sessions: Sessions,
    pub guessing: Guessing,
    pub journal: Journal,
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

/// Whose the password may be, found before it is hashed.
struct Candidates {
    account: Option<User>,
    pending: Vec<Registration>,
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
        counted.settle(matches!(owner, Err(Error::InvalidCredentials))).await;
        let user = owner?;
        if let Err(error) = self.rehash(&user, password).await {
            tracing::warn!(%error, "a cheap hash is kept; the next login may replace it");
        }
        let (user, session, now) = run_twice(|| self.open_by_password(&user, client)).await?;
        self.throttle.forgive(Some(key), &user).await;
        self.sessions.opener.tokens_of(user, &session, now)
    }

    /// Opens a session for who has a code for it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidLoginCode`] for any code that is not good now, an unknown account's alike.
    pub(super) async fn log_in_by_code(
        &self,
        proof: &Proof,
        found: Found,
        client: &Client,
    ) -> Result<OpenedSession, Error> {
        let holder = found.challenge.as_ref().map(|found| found.verification.holder);
        let opened = self.guessing.prove(&proof.code, found, client, |it| self.open_by_code(it, client)).await;
        let (user, session, now) = opened.map_err(|error| match error {
            Error::InvalidCode => {
                let account = match holder {
                    Some(Holder::Account { id, .. }) => Some(id),
                    _ => None,
                };
                self.journal.login_failed(account, Method::Code, self.issuer.clock.now());
                Error::InvalidLoginCode
            }
            other => other,
        })?;
        let given = proof.login_id.as_ref().map(LoginId::key).or(proof.which.address.as_ref().map(Address::key));
        self.throttle.forgive(given, &user).await;
        self.sessions.opener.tokens_of(user, &session, now)
    }

    async fn owner(
        &self,
        identifier: &Identifier,
        password: Option<&Password>,
        client: &Client,
    ) -> Result<User, Error> {
        let _counted = self.throttle.hash(client).await?;
        let Candidates { account, pending } = self.candidates(identifier).await?;
        let kept = account.as_ref().and_then(|user| user.password_hash.as_deref());
        let recipe = kept.or(pending.first().map(|newest| newest.password_hash.as_str())).and_then(Recipe::of);
        let recipe = recipe.unwrap_or_else(|| self.credentials.pending_recipe(&identifier.key()));
        let hash = match password {
            Some(password) => Some(self.hasher.hash(password, recipe).await?),
            None => None, // nobody's, whatever its hash
        };
        let account_id = account.as_ref().map(|user| user.id);
        match account {
            Some(user) if hash.is_some() && user.password_hash == hash => return Ok(user),
            Some(_) => {}
            None => {
                if let Some(registration) = pending.into_iter().find(|it| Some(&it.password_hash) == hash.as_ref()) {
                    return Err(self.not_activated(&registration).await?);
                }
            }
        }
        self.journal.login_failed(account_id, Method::Password, self.issuer.clock.now());
        Err(Error::InvalidCredentials)
    }

    async fn candidates(&self, identifier: &Identifier) -> Result<Candidates, Error> {
        let mut reading = self.store.read().await?; // and given back before the hashing
        let account = match identifier {
            Identifier::Address(address) => reading.user_by_address(address).await?,
            Identifier::LoginId(login_id) => reading.user_by_login_id(login_id).await?,
        };
        let account = account.filter(|user| user.disabled_at.is_none());
        let pending = match (&account, identifier) {
            (None, Identifier::Address(address)) => self.credentials.pending(&mut reading, address).await?,
            _ => Vec::new(),
        };
        Ok(Candidates { account, pending })
    }

    async fn not_activated(&self, registration: &Registration) -> Result<Error, Error> {
        let now = self.issuer.clock.now();
        let challenge = self.store.read().await?.challenge(registration.verification_id, now).await?;
        let challenge = challenge.ok_or(Error::InvalidCredentials)?; // proven meanwhile
        Ok(Error::NotActivated(Box::new(self.issuer.issued(&challenge.verification, &challenge.destination, now))))
    }

    async fn open_by_password(&self, user: &User, client: &Client) -> Result<(User, Session, Timestamp), Error> {
        let now = self.sessions.opener.clock.now();
        let mut tx = self.store.begin().await?;
        if let Some(session) = self.sessions.opener.open(&mut tx, user, client, false, now).await? {
            return self.opened(tx, user.clone(), session, now).await;
        }
        // Changed since its hash was read: by a new address, which leaves the password good, or by more.
        let user = tx.user(user.id).await?.filter(|now| now.password_hash == user.password_hash);
        let user = user.ok_or(Error::InvalidCredentials)?;
        let session =
            self.sessions.opener.open(&mut tx, &user, client, false, now).await?.ok_or(Error::InvalidCredentials)?;
        self.opened(tx, user, session, now).await
    }

    async fn open_by_code(&self, proven: Verification, client: &Client) -> Result<(User, Session, Timestamp), Error> {
        let Holder::Account { id, epoch } = proven.holder else { return Err(Error::InvalidCode) };
        let now = self.sessions.opener.clock.now();
        let mut tx = self.store.begin().await?;
        let user = tx.user(id).await?.filter(|user| user.epoch == epoch).ok_or(Error::InvalidCode)?;
        let session = self.sessions.opener.open(&mut tx, &user, client, true, now).await?.ok_or(Error::InvalidCode)?;
        if !tx.mark_verified(proven.id, None, now).await? {
            return Err(Error::InvalidCode);
        }
        self.opened(tx, user, session, now).await
    }

    /// Makes room for the session, tells of it, and commits.
    async fn opened(
        &self,
        mut tx: Tx,
        user: User,
        session: Session,
        now: Timestamp,
    ) -> Result<(User, Session, Timestamp), Error> {
        let (user_id, reason) = (user.id, Reason::Crowded);
        let dropped = tx.drop_oldest_sessions(&user, SESSIONS_KEPT, now).await?;
        let revoked = |id| Happening::SessionRevoked { user_id, session_id: Some(id), but: None, reason };
        let happened = std::iter::once(session.opened()).chain(dropped.into_iter().map(revoked));
        self.journal.record(&mut tx, happened, now).await?;
        self.journal.commit(tx).await?;
        Ok((user, session, now))
    }

    /// A hash cheaper than is configured now is made anew (OWASP Password Storage, work factors).
    async fn rehash(&self, user: &User, password: Option<&Password>) -> Result<(), Error> {
        let (Some(kept), Some(password)) = (&user.password_hash, password) else { return Ok(()) };
        if !Recipe::of(kept).is_some_and(|recipe| self.hasher.is_cheaper(&recipe)) {
            return Ok(());
        }
        let recipe = self.hasher.recipe(&self.sessions.opener.random.bytes::<16>());
        let hash = self.hasher.hash(password, recipe).await?;
        Ok(self.store.write().await?.rehash_password(user, &hash).await?)
    }
}
