//! Changes of people's own accounts.

use super::AccountService;
use crate::{
    domain::{AuditLine, EventKind, FieldUpdate, Origin, Password, Reason, SessionSummary, User, Verification},
    engine::{Actor, Core, CurrentPassword, EventLog, Freshness, PasswordChecker, RateLimits, once_on_conflict},
    error::Error,
};

/// Changes and deletes people's own accounts.
#[derive(Clone)]
pub struct ProfileService {
    pub(crate) core: Core,
    pub(crate) passwords: PasswordChecker,
    pub(crate) rate_limits: RateLimits,
    pub(crate) accounts: AccountService,
    pub(crate) event_log: EventLog,
}

/// The newest lines of the audit that an export holds.
const EXPORTED_LINES: i64 = 1_000;
/// An account changes meanwhile; several times in a row hardly ever.
const TRIES: usize = 3;

/// All that is kept of an account.
#[derive(Debug)]
pub struct AccountExport {
    /// Its valid sessions.
    pub sessions: Vec<SessionSummary>,
    /// The codes of the last day.
    pub codes: Vec<Verification>,
    /// What happened to it.
    pub audit: Vec<AuditLine>,
}

impl ProfileService {
    /// All that is kept of the account, but for its hashes.
    pub async fn export(&self, actor: &Actor) -> Result<AccountExport, Error> {
        let (user, now) = (&actor.user, self.core.now());
        let _turn = self.core.turns.take(actor.session).await?;
        let mut reader = self.core.store.read().await?;
        Ok(AccountExport {
            sessions: reader.sessions_of(user, now).await?,
            codes: reader.verifications_of(user.id, now).await?,
            audit: reader.audit_of_user(user, EXPORTED_LINES).await?.into_iter().map(AuditLine::for_owner).collect(),
        })
    }

    /// Updates the name and the language.
    pub async fn update(&self, actor: &Actor, name: &FieldUpdate, locale: &FieldUpdate) -> Result<User, Error> {
        let user = &actor.user;
        if name.changes_nothing(user.name.as_ref()) && locale.changes_nothing(user.locale.as_ref()) {
            return Ok(user.clone());
        }
        let _turn = self.core.turns.take(actor.session).await?;
        let mut writer = self.core.store.write().await?;
        writer.update_profile(user.id, name, locale, self.core.now()).await?;
        writer.user(user.id).await?.ok_or(Error::InvalidToken)
    }

    /// Replaces the password; every session but this one ends.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassword`] for a wrong current one; [`Error::ReauthenticationRequired`] if it is missing,
    /// unless the session was opened by a code within `fresh_for`.
    pub async fn change_password(&self, actor: &Actor, current: &CurrentPassword, new: &Password) -> Result<(), Error> {
        actor.user.check_password(new).map_err(|error| Error::field(error.at("new_password")))?;
        self.passwords.check_current(actor, current, Freshness::RecentByCode).await?;
        let hashing = self.passwords.hash_new(new, &actor.client);
        let hash = match current {
            CurrentPassword::Missing => self.rate_limits.count_hash(&actor.client, hashing).await?,
            _ => hashing.await?, // that of the current one has counted
        };
        let mut user = actor.user.clone();
        for _ in 0..TRIES {
            if once_on_conflict(|| self.set_password(&user, actor, &hash)).await? {
                return Ok(());
            }
            user = self.unless_password_changed(actor).await?;
        }
        Err(Error::Conflict)
    }

    /// The account as it is now; whoever gave a password that was replaced meanwhile gave a wrong one.
    async fn unless_password_changed(&self, actor: &Actor) -> Result<User, Error> {
        let mut reader = self.core.store.read().await?;
        let found = reader.session_user(actor.session, actor.user.id, self.core.now()).await?;
        let user = found.ok_or(Error::InvalidToken)?.user;
        if user.password_hash == actor.user.password_hash { Ok(user) } else { Err(Error::WrongPassword) }
    }

    /// `false` if the account changed since it was read.
    async fn set_password(&self, user: &User, actor: &Actor, hash: &str) -> Result<bool, Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let Some(epoch) = tx.change_password(user, hash, now).await? else { return Ok(false) };
        tx.move_sessions_to_epoch(user.id, Some(actor.session), epoch).await?;
        let reason = Reason::PasswordChanged;
        let changed = EventKind::PasswordChanged { user_id: user.id, reason };
        let revoked = EventKind::all_revoked(user.id, Some(actor.session), reason);
        self.event_log.append(&mut tx, [changed, revoked], Origin::client(&actor.client), now).await?;
        self.event_log.commit(tx).await?;
        Ok(true)
    }

    /// Deletes the account and all personal data.
    ///
    /// # Errors
    ///
    /// As [`change_password`](Self::change_password).
    pub async fn delete(&self, actor: &Actor, current: &CurrentPassword) -> Result<(), Error> {
        self.passwords.check_current(actor, current, Freshness::RecentByCode).await?;
        let mut user = actor.user.clone();
        for _ in 0..TRIES {
            match once_on_conflict(|| self.accounts.remove(&user, Origin::default())).await {
                Err(Error::Conflict) => user = self.unless_password_changed(actor).await?,
                done => return done,
            }
        }
        Err(Error::Conflict)
    }
}
