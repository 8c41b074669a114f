//! Checking passwords: by login, by HTTP Basic, and the current one of a caller with a session. Each is counted
//! before it is compared, and costs alike for known and unknown accounts.

use std::time::Duration;

use uuid::Uuid;

use super::{Actor, Core, EventLog, RateLimits, rate_limits::identifier_name};
use crate::{
    crypto::{HashParams, Hasher, MacPurpose},
    domain::{
        Address, AuditKind, AuditLine, Client, DestinationHash, EventKind, Identifier, LoginMethod, Origin, Password,
        Reason, Registration, Session, Timestamp, User,
    },
    error::Error,
    store::{LoginState, Reader, StoreError, ValidSession},
};

/// Checks passwords.
#[derive(Clone)]
pub struct PasswordChecker {
    pub(crate) core: Core,
    pub(crate) rate_limits: RateLimits,
    pub(crate) hasher: Hasher,
    pub(crate) event_log: EventLog,
    /// How long after its opening a session proves by itself who is there.
    pub(crate) fresh_for: Duration,
    /// Whether nothing may tell who has an account.
    pub(crate) conceal_accounts: bool,
}

/// An address and a password, as HTTP Basic carries them.
#[derive(Debug, Clone)]
pub struct BasicCredentials {
    /// `None` for a text that is no address.
    pub address: Option<Address>,
    /// The address as it was sent, for counting.
    pub identifier: String,
    /// `None` for a text that cannot be a password.
    pub password: Option<Password>,
}

/// The current password of a caller with a session.
#[derive(Debug, Clone)]
pub enum CurrentPassword {
    /// None was sent.
    Missing,
    /// A text that cannot be a password, and so a wrong one.
    Invalid,
    /// A password.
    Present(Password),
}

/// The session that is enough without the current password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// A recent one.
    Recent,
    /// A recent one that was opened by a code: that just proved who is there, as the password would.
    RecentByCode,
}

/// The registration or account that a password belongs to.
pub(crate) enum PasswordOwner {
    Registration(Box<Registration>),
    Account(Box<User>),
}

/// The accounts and registrations that a password may belong to, read before it is hashed.
struct Candidates {
    account: Option<User>,
    pending: Vec<Registration>,
}

impl PasswordChecker {
    /// The parameters of the first pending password of a destination. Later ones take its salt, so that the same
    /// person registering again is recognised by an equal hash.
    pub(crate) fn pending_params(&self, destination: &str) -> HashParams {
        let mac = self.core.keyring.current().mac(MacPurpose::PendingSalt, &[destination.as_bytes()]);
        self.hasher.params(&mac[..16])
    }

    /// Hashes a new password, with a random salt.
    pub(crate) async fn hash_new(&self, password: &Password, client: &Client) -> Result<String, Error> {
        let params = self.hasher.params(&self.core.random.bytes::<16>());
        Ok(self.hasher.hash(password, params, client).await?)
    }

    /// The account with this identifier and password, otherwise the registration pending with both; by one hash,
    /// whoever it is.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCredentials`], counted for the identifier as given and the client; once these are spent
    /// [`Error::TooManyAttempts`], for the right password too.
    pub(crate) async fn check_login(
        &self,
        identifier: &Identifier,
        password: Option<&Password>,
        client: &Client,
    ) -> Result<PasswordOwner, Error> {
        let key = identifier.key();
        let LoginState { lifted_at, account } = self.core.store.read().await?.login_state(identifier).await?;
        self.counted(&key, lifted_at, client, async {
            let Candidates { account, pending } = Box::pin(self.login_candidates(identifier, account)).await?;
            let row = self.open_row(account.as_ref(), &key).await?;
            let account_id = account.as_ref().map(|user| user.id);
            let otherwise = self.pending_params(&key);
            let owner = match (password, account) {
                (None, _) => None, // wrong, whatever its hash
                (Some(password), Some(user)) => {
                    let stored = user.password_hash.as_deref();
                    let is_right = self.hasher.verify(password, stored, otherwise, client).await?;
                    is_right.then(|| PasswordOwner::Account(Box::new(user)))
                }
                (Some(password), None) => {
                    let params = pending_params_of(&pending);
                    let hash = self.hasher.hash(password, params.unwrap_or(otherwise), client).await?;
                    pending_owner(pending, &hash)
                }
            };
            match owner {
                Some(owner) => Ok(owner),
                None => Err(Box::pin(self.missed(account_id, &row, client)).await),
            }
        })
        .await
    }

    async fn login_candidates(&self, identifier: &Identifier, account: Option<User>) -> Result<Candidates, Error> {
        let account = account.filter(|user| user.disabled_at.is_none() && self.opens(user, identifier));
        let pending = match (&account, identifier) {
            (None, Identifier::Address(address)) if !self.conceal_accounts => {
                let mut reader = self.core.store.read().await?; // given back before the hashing
                self.pending(&mut reader, address).await?
            }
            _ => Vec::new(),
        };
        Ok(Candidates { account, pending })
    }

    /// Where accounts are concealed, an unproven address opens none.
    fn opens(&self, user: &User, by: &Identifier) -> bool {
        match by {
            Identifier::Address(address) => !self.conceal_accounts || user.proven_address(address).is_some(),
            Identifier::LoginId(_) => true,
        }
    }

    /// The registration pending with this address and password, otherwise the account that has both: by one hash for
    /// the registration, by two for everybody else, an account or not.
    ///
    /// # Errors
    ///
    /// As [`check_login`](Self::check_login).
    pub(crate) async fn check_basic(&self, basic: &BasicCredentials, client: &Client) -> Result<PasswordOwner, Error> {
        let key = basic.address.as_ref().map_or_else(|| basic.identifier.clone(), Address::key);
        let since = self.lifted_at(&key).await?;
        self.counted(&key, since, client, async {
            let (Some(address), Some(password)) = (&basic.address, &basic.password) else {
                return Err(Error::InvalidCredentials);
            };
            let Candidates { account, pending } = self.basic_candidates(address).await?;
            let row = self.open_row(account.as_ref(), &key).await?;
            let params = pending_params_of(&pending);
            let params = params.unwrap_or_else(|| self.pending_params(&key));
            let hash = self.hasher.hash(password, params, client).await?;
            if let Some(owner) = pending_owner(pending, &hash) {
                return Ok(owner);
            }
            let stored = account.as_ref().and_then(|user| user.password_hash.as_deref());
            let is_right = self.hasher.verify(password, stored, self.pending_params(&key), client).await?;
            let account_id = account.as_ref().map(|user| user.id);
            let Some(account) = account.filter(|_| is_right) else {
                return Err(Box::pin(self.missed(account_id, &row, client)).await);
            };
            Box::pin(self.note_judged(account.id, true, client)).await?;
            Ok(PasswordOwner::Account(Box::new(account)))
        })
        .await
    }

    async fn basic_candidates(&self, address: &Address) -> Result<Candidates, Error> {
        let mut reader = self.core.store.read().await?; // given back before the hashing
        let pending = self.pending(&mut reader, address).await?;
        let account = reader.user_by_address(address).await?.filter(|user| user.disabled_at.is_none());
        Ok(Candidates { account, pending })
    }

    /// The registrations pending for the address, the newest first; otherwise the newest that has it.
    async fn pending(&self, reader: &mut Reader, address: &Address) -> Result<Vec<Registration>, StoreError> {
        let now = self.core.now();
        let mut pending = reader.pending_registrations(address, now).await?;
        if pending.is_empty() {
            pending.extend(reader.newest_registration_with(address, now).await?);
        }
        Ok(pending)
    }

    /// Confirms the session's owner before an irreversible action. Returns the session that took the password's place,
    /// if none was sent.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassword`] for a wrong one, counted for the account and the client;
    /// [`Error::ReauthenticationRequired`] if it is missing and the session is not fresh enough.
    pub(crate) async fn check_current(
        &self,
        actor: &Actor,
        current: &CurrentPassword,
        enough: Freshness,
    ) -> Result<Option<Session>, Error> {
        let current = match current {
            CurrentPassword::Missing => return self.fresh_session(actor.session, enough).await.map(Some),
            CurrentPassword::Invalid => None,
            CurrentPassword::Present(current) => Some(current),
        };
        let account = format!("account:{}", actor.user.id);
        self.counted(&account, Timestamp::default(), &actor.client, async {
            let current = current.ok_or(Error::WrongPassword)?;
            let is_right = self.is_right(&actor.user, current, &actor.client).await?;
            Box::pin(self.note_judged(actor.user.id, is_right, &actor.client)).await?;
            if is_right { Ok(None) } else { Err(Box::pin(self.missed_current(actor)).await) }
        })
        .await
    }

    /// The row that a wrong password of the account, or of a name that is nobody's, counts in.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyAttempts`] once the row has closed it (NIST SP 800-63B-4, 3.2.2), for the right one too.
    async fn open_row(&self, account: Option<&User>, name: &str) -> Result<String, Error> {
        let row = account.map_or_else(|| identifier_name(name), |user| user.id.to_string());
        let is_full = self.rate_limits.is_row_full(&row, false).await?;
        let is_closed = match account {
            Some(user) => user.password_closed_at.is_some(), // an operator may have opened it
            None => is_full,
        };
        if is_closed { Err(self.rate_limits.password_closed()) } else { Ok(row) }
    }

    /// Counts a wrong password in its row, and tells of it.
    async fn missed(&self, account: Option<Uuid>, row: &str, client: &Client) -> Error {
        let counted = async {
            if let (true, Some(user)) = (self.rate_limits.is_row_full(row, true).await?, account) {
                self.core.store.write().await?.close_password(user, self.core.now()).await?;
            }
            Ok::<_, Error>(())
        };
        self.event_log.login_failed(account, LoginMethod::Password, Origin::client(client));
        counted.await.err().unwrap_or(Error::InvalidCredentials)
    }

    /// Wrong current passwords are counted in a row of their own, which ends the session.
    async fn missed_current(&self, actor: &Actor) -> Error {
        let (session, user) = (actor.session, actor.user.id);
        let counted = async {
            if !self.rate_limits.is_row_full(&format!("session:{session}"), true).await? {
                return Ok(());
            }
            let now = self.core.now();
            let mut tx = self.core.store.begin().await?;
            if tx.revoke_session(session, Some(user), now).await?.is_some() {
                let revoked = EventKind::revoked(user, session, Reason::Ended);
                self.event_log.append(&mut tx, [revoked], Origin::client(&actor.client), now).await?;
            }
            Ok::<_, Error>(self.event_log.commit(tx).await?)
        };
        counted.await.err().unwrap_or(Error::WrongPassword)
    }

    /// The account as it is now, after a change came between; whoever gave a password that was replaced meanwhile gave
    /// a wrong one.
    pub(crate) async fn reread(&self, actor: &Actor) -> Result<User, Error> {
        let mut reader = self.core.store.read().await?;
        let user = reader.session_user(actor.session, actor.user.id, self.core.now()).await?;
        let user = user.ok_or(Error::InvalidToken)?.user;
        if user.password_hash == actor.user.password_hash { Ok(user) } else { Err(Error::WrongPassword) }
    }

    async fn fresh_session(&self, session: Uuid, enough: Freshness) -> Result<Session, Error> {
        let now = self.core.now();
        let valid = self.core.store.read().await?.session(session, now).await?;
        let ValidSession { session, .. } = valid.ok_or(Error::InvalidToken)?;
        let is_recent = session.created_at.plus(self.fresh_for) > now;
        let is_fresh = is_recent && (session.opened_by.is_some() || enough == Freshness::Recent);
        if is_fresh { Ok(session) } else { Err(Error::ReauthenticationRequired) }
    }

    async fn is_right(&self, user: &User, password: &Password, client: &Client) -> Result<bool, Error> {
        let Some(stored) = user.password_hash.as_deref() else { return Ok(false) };
        let otherwise = self.pending_params(&user.id.to_string());
        Ok(self.hasher.verify(password, Some(stored), otherwise, client).await?)
    }

    /// Writes the audit's line of a password that opens no session.
    async fn note_judged(&self, user: Uuid, is_right: bool, client: &Client) -> Result<(), Error> {
        let outcome = if is_right { "right" } else { "wrong" };
        let origin = Origin::client(client);
        let line = AuditLine {
            user_id: Some(user),
            ..AuditLine::new(AuditKind::PasswordJudged, outcome, origin, self.core.now())
        };
        let mut tx = self.core.store.begin().await?;
        let line = tx.unless_gone(line).await?;
        tx.append_audit(&[line])?;
        Ok(tx.commit().await?)
    }

    /// When the operator last lifted the limits of an identifier.
    async fn lifted_at(&self, identifier: &str) -> Result<Timestamp, Error> {
        let hash = DestinationHash::of_key(identifier);
        Ok(self.core.store.read().await?.destination(&hash).await?.lifted_at)
    }

    /// Runs a check that was counted before; only a wrong password stays counted.
    async fn counted<T>(
        &self,
        identifier: &str,
        since: Timestamp,
        client: &Client,
        check: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let attempt = self.rate_limits.count_password(identifier, since, client).await?;
        let outcome = self.rate_limits.count_hash(client, check).await;
        attempt.settle(matches!(outcome, Err(Error::InvalidCredentials | Error::WrongPassword))).await;
        outcome
    }
}

/// Those of the newest password that is pending.
fn pending_params_of(pending: &[Registration]) -> Option<HashParams> {
    HashParams::of(pending.iter().find_map(Registration::password_hash)?)
}

fn pending_owner(pending: Vec<Registration>, hash: &str) -> Option<PasswordOwner> {
    let registration = pending.into_iter().find(|registration| registration.password_hash() == Some(hash))?;
    Some(PasswordOwner::Registration(Box::new(registration)))
}
