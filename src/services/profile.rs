//! Changes of people's own accounts.

use std::sync::Arc;

use tokio::sync::Notify;

use super::AccountService;
use crate::{
    domain::{
        AuditLine, DataUpdate, EventKind, FieldUpdate, JsonObject, NoticeKind, Origin, Password, Reason,
        SessionSummary, User, Verification,
    },
    engine::{
        Actor, Core, CurrentPassword, EventLog, Freshness, NewPassword, PasswordChecker, PasswordWriter, RateLimits,
        once_on_conflict,
    },
    error::Error,
};

/// Changes and deletes people's own accounts.
#[derive(Clone)]
pub struct ProfileService {
    pub(crate) core: Core,
    pub(crate) passwords: PasswordChecker,
    pub(crate) writer: PasswordWriter,
    pub(crate) rate_limits: RateLimits,
    pub(crate) accounts: AccountService,
    pub(crate) event_log: EventLog,
    /// Wakes the delivery worker.
    pub(crate) wake: Arc<Notify>,
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

    /// Updates the name, the language and the person's `data`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the merged `data` is too large or too deep.
    pub async fn update(
        &self,
        actor: &Actor,
        name: &FieldUpdate,
        locale: &FieldUpdate,
        data: &DataUpdate,
    ) -> Result<User, Error> {
        let user = &actor.user;
        let changes_nothing = |user: &User, data: &JsonObject| {
            let same_texts = name.changes_nothing(user.name.as_ref()) && locale.changes_nothing(user.locale.as_ref());
            same_texts && *data == user.data
        };
        if *data == DataUpdate::Keep && changes_nothing(user, &user.data) {
            return Ok(user.clone());
        }
        let _turn = self.core.turns.take(actor.session).await?;
        let mut tx = self.core.store.begin().await?;
        // Two patches at once are merged one after the other.
        let user = tx.user_for_update(user.id).await?.ok_or(Error::InvalidToken)?;
        let data = match data {
            DataUpdate::Keep => user.data.clone(),
            DataUpdate::Clear => JsonObject::default(),
            DataUpdate::Merge(patch) => user.data.merged(patch).checked_as_data().map_err(Error::field)?,
        };
        if changes_nothing(&user, &data) {
            tx.rollback().await?;
            return Ok(user);
        }
        tx.update_profile(user.id, name, locale, &data, self.core.now()).await?;
        let updated = tx.user(user.id).await?.ok_or(Error::InvalidToken)?;
        tx.commit().await?;
        Ok(updated)
    }

    /// Replaces the password; every session but this one ends, and the owner is informed. Without the current one, in a
    /// session that a code opened, the other address is suspended as by a reset.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassword`] for a wrong current one; [`Error::ReauthenticationRequired`] if it is missing,
    /// unless the session was opened by a code within `fresh_for`.
    pub async fn change_password(&self, actor: &Actor, current: &CurrentPassword, new: &Password) -> Result<(), Error> {
        actor.user.check_password(new).map_err(|error| Error::field(error.at("new_password")))?;
        let session = self.passwords.check_current(actor, current, Freshness::RecentByCode).await?;
        let let_in_by = session.and_then(|session| session.opened_by);
        let hashing = self.passwords.hash_new(new, &actor.client);
        let hash = match current {
            CurrentPassword::Missing => self.rate_limits.count_hash(&actor.client, hashing).await?,
            _ => hashing.await?, // that of the current one has counted
        };
        let mut user = actor.user.clone();
        for _ in 0..TRIES {
            let notice = NoticeKind::PasswordChanged;
            let client = &actor.client;
            let new = NewPassword { user: &user, hash: &hash, let_in_by: let_in_by.as_ref(), notice, client };
            if Box::pin(once_on_conflict(|| self.set_password(new, actor))).await? {
                self.wake.notify_one();
                return Ok(());
            }
            user = self.passwords.reread(actor).await?;
        }
        Err(Error::ChangedMeanwhile)
    }

    /// `false` if the account changed since it was read.
    async fn set_password(&self, new: NewPassword<'_>, actor: &Actor) -> Result<bool, Error> {
        let user = new.user;
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let Some(replaced) = self.writer.replace(&mut tx, new, now).await? else { return Ok(false) };
        tx.move_sessions_to_epoch(user.id, Some(actor.session), replaced.epoch).await?;
        self.writer.tell(&mut tx, &replaced, now).await?;
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
                Err(Error::Conflict) => user = self.passwords.reread(actor).await?,
                done => return done,
            }
        }
        Err(Error::ChangedMeanwhile)
    }
}
