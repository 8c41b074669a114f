//! Accounts as operators manage them.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    domain::{
        AccountDetails, Address, AuditLine, EventKind, FieldCode, FieldError, Identifier, Identifiers, JsonObject,
        NoticeKind, Origin, Reason, SessionSummary, TestIdentities, Timestamp, User,
    },
    engine::{Core, EventLog, Notices},
    error::Error,
    store::Tx,
};

/// Manages accounts for operators, whose word on addresses is taken as proof.
#[derive(Clone)]
pub struct AccountService {
    pub(crate) core: Core,
    pub(crate) event_log: EventLog,
    /// No account with claims may have one.
    pub(crate) test_identities: TestIdentities,
}

/// How long an invitation holds.
const INVITED_FOR: Duration = Duration::from_hours(30 * 24);

/// Accounts that are read or written at once.
pub(super) const BATCH: usize = 500;

impl AccountService {
    /// Creates an account, without a password or a message.
    ///
    /// # Errors
    ///
    /// [`Error::AccountExists`] if another account has an identifier.
    pub async fn create(&self, details: AccountDetails) -> Result<User, Error> {
        self.check_claims(&details.identifiers, details.claims.as_ref()).map_err(Error::field)?;
        let mut tx = self.core.store.begin().await?;
        if let Some(taken) = tx.taken_identifier(&details.identifiers, None, self.core.now()).await? {
            return Err(Error::taken(taken));
        }
        let users = self.insert(&mut tx, vec![details], "users_create").await?;
        self.event_log.commit(tx).await?;
        users.into_iter().next().ok_or(Error::NotFound)
    }

    /// Refuses claims for a test identity: whoever knows its code would have them.
    pub(super) fn check_claims(
        &self,
        identifiers: &Identifiers,
        claims: Option<&JsonObject>,
    ) -> Result<(), FieldError> {
        let now = self.core.now();
        let is_open = self.test_identities.live(now).any(|address| identifiers.contains(address));
        let has_claims = claims.is_some_and(|claims| *claims != JsonObject::default());
        if is_open && has_claims {
            return Err(FieldError::new("claims", FieldCode::Invalid, "must be none for a test identity"));
        }
        Ok(())
    }

    /// Lets an address register for 30 days whatever the rules say, and tells it so.
    pub async fn invite(&self, address: &Address) -> Result<Timestamp, Error> {
        let now = self.core.now();
        let ends_at = now.plus(INVITED_FOR);
        let notices = Notices { core: self.core.clone() };
        let mut tx = self.core.store.begin().await?;
        tx.invite(&address.hash(), ends_at).await?;
        notices.enqueue_to(&mut tx, address, NoticeKind::Invited, now)?;
        let origin = Origin::command("users_invite").about(address);
        tx.append_audit(&[AuditLine::command("users_invite", None, origin, now)])?;
        tx.commit().await?;
        Ok(ends_at)
    }

    pub(super) async fn insert(
        &self,
        tx: &mut Tx,
        details: Vec<AccountDetails>,
        command: &'static str,
    ) -> Result<Vec<User>, Error> {
        let now = self.core.now();
        let users = details.into_iter().map(|details| details.into_user(self.core.random.id(now), now));
        let users: Vec<User> = users.collect();
        tx.insert_users(&users).await?;
        let events = users.iter().flat_map(|user| {
            let user_id = user.id;
            [EventKind::UserRegistered { user_id }, EventKind::UserActivated { user_id, channel: None }]
        });
        self.event_log.append(tx, events, Origin::command(command), now).await?;
        Ok(users)
    }

    /// Finds an account by its id or by an identifier; an address must be proven.
    pub async fn find(&self, id: Option<Uuid>, identifier: Option<&Identifier>) -> Result<User, Error> {
        let mut reader = self.core.store.read().await?;
        let by_id = match id {
            Some(id) => reader.user(id).await?,
            None => None,
        };
        let found = match (by_id, identifier) {
            (None, Some(Identifier::Address(address))) => {
                let user = reader.user_by_address(address).await?;
                user.filter(|user| user.proven_address(address).is_some())
            }
            (None, Some(Identifier::LoginId(login_id))) => reader.user_by_login_id(login_id).await?,
            (by_id, _) => by_id,
        };
        found.ok_or(Error::NotFound)
    }

    /// Replaces an account's claims; its next access tokens have them.
    pub async fn set_claims(&self, user: &User, claims: &JsonObject) -> Result<User, Error> {
        self.check_claims(&user.identifiers, Some(claims)).map_err(Error::field)?;
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        if !tx.set_claims(user.id, claims, now).await? {
            return Err(Error::NotFound);
        }
        tx.append_audit(&[AuditLine::command("users_set", Some(user.id), Origin::default(), now)])?;
        let user = tx.user(user.id).await?.ok_or(Error::NotFound)?;
        tx.commit().await?;
        Ok(user)
    }

    /// Disables an account: no login, no refresh, and its tokens are refused at once.
    pub async fn disable(&self, user: &User) -> Result<(), Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        if tx.disable_user(user.id, now).await? {
            let revoked = EventKind::all_revoked(user.id, None, Reason::Disabled);
            self.event_log.append(&mut tx, [revoked], Origin::command("users_disable"), now).await?;
        }
        Ok(self.event_log.commit(tx).await?)
    }

    /// Enables a disabled account.
    pub async fn enable(&self, user: &User) -> Result<(), Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        if tx.enable_user(user.id, now).await? {
            tx.append_audit(&[AuditLine::command("users_enable", Some(user.id), Origin::default(), now)])?;
        }
        Ok(tx.commit().await?)
    }

    /// Deletes an account and all personal data, by the operator's command.
    pub async fn delete(&self, user: &User) -> Result<(), Error> {
        self.remove(user, Origin::command("users_delete")).await
    }

    /// Deletes an account and all personal data.
    pub(super) async fn remove(&self, user: &User, origin: Origin<'_>) -> Result<(), Error> {
        let mut tx = self.core.store.begin().await?;
        if !tx.delete_user(user).await? {
            return Err(Error::Conflict); // changed meanwhile
        }
        self.event_log.forget_user(&mut tx, user.id).await?;
        let deleted = EventKind::UserDeleted { user_id: user.id };
        self.event_log.append(&mut tx, [deleted], origin, self.core.now()).await?;
        Ok(self.event_log.commit(tx).await?)
    }

    /// The next accounts after this id, in the order of ids, each with its valid sessions.
    pub async fn page_after(&self, id: Uuid) -> Result<Vec<(User, Vec<SessionSummary>)>, Error> {
        let mut reader = self.core.store.read().await?;
        let users = reader.users_after(id, i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
        let mut with_sessions = Vec::with_capacity(users.len());
        for user in users {
            let sessions = reader.sessions_of(&user, self.core.now()).await?;
            with_sessions.push((user, sessions));
        }
        Ok(with_sessions)
    }

    /// Resets the rate limits of an address, in the code store too.
    pub async fn lift_limits(&self, address: &Address) -> Result<(), Error> {
        let now = self.core.now();
        let line = AuditLine::command("limits_lift", None, Origin::default().about(address), now);
        let mut tx = self.core.store.begin().await?;
        tx.lift_limits(&address.hash(), now).await?;
        tx.reopen_password_of(address).await?;
        tx.append_audit(&[line])?;
        Ok(tx.commit().await?)
    }
}
