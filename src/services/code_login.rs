//! Logging in by a code, which may make the account.

use std::time::Duration;

use super::LoginService;
use crate::{
    domain::{
        Address, Channel, Client, ContactChange, EventKind, Holder, LoginId, LoginMethod, NewSession, NoticeKind,
        Origin, Reason, Session, SessionTokens, Timestamp, User, Verification,
    },
    engine::{AccountCreator, Admission, CodeChecker, CodeSubmission, Core, NewAccount, Notices, Subject},
    error::Error,
    store::{StoreError, Tx},
};

/// Logs people in by a code; one that was asked for nobody makes an account.
#[derive(Clone)]
pub struct CodeLoginService {
    pub(crate) core: Core,
    pub(crate) checker: CodeChecker,
    pub(crate) login: LoginService,
    pub(crate) creator: AccountCreator,
    pub(crate) admission: Admission,
    pub(crate) notices: Notices,
    /// An account that was not used for so long is not opened by a code to its mobile alone; `None`: any is.
    pub(crate) dormant_after: Option<Duration>,
}

impl CodeLoginService {
    /// Opens a session by code.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidLoginCode`] for a code that is not valid now, alike for an unknown account. For a right one, which
    /// stays good: [`Error::Dormant`] for an account that was not used for long; [`Error::AccountExists`] where the
    /// address is a disabled account's, or suspended.
    pub(super) async fn log_in(
        &self,
        submission: &CodeSubmission,
        subject: Subject,
        client: &Client,
    ) -> Result<SessionTokens, Error> {
        let account = subject.challenge.as_ref().and_then(|challenge| challenge.verification.holder.account());
        let open = |verification| self.open(verification, submission, client);
        let opened = Box::pin(self.checker.redeem(&submission.code, subject, client, open)).await;
        let session = opened.map_err(|error| match error {
            Error::InvalidCode => {
                self.login.event_log.login_failed(account, LoginMethod::Code, Origin::client(client));
                Error::InvalidLoginCode
            }
            other => other,
        })?;
        let given = submission.login_id.as_ref().map(LoginId::key);
        let given = given.or(submission.reference.address.as_ref().map(Address::key));
        self.login.rate_limits.reset_failures(given, &session.user).await;
        self.checker.issuer.wake.notify_one();
        self.login.opener.first_tokens(session)
    }

    async fn open(
        &self,
        proven: Verification,
        submission: &CodeSubmission,
        client: &Client,
    ) -> Result<NewSession, Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let Some(owner) = self.owner(&mut tx, &proven, now).await? else {
            return self.create(tx, proven, submission, client, now).await;
        };
        match self.ways_but_mobile(&owner, &proven, now) {
            None => self.enter(tx, owner, &proven, client, now).await,
            Some(_) if submission.new_account => {
                self.admission.check(&proven.destination.clone().into(), &proven.destination).await?;
                self.release_mobile(&mut tx, &owner, client, now).await?;
                self.create(tx, proven, submission, client, now).await
            }
            Some(ways) => Err(Error::Dormant(ways)),
        }
    }

    /// The account that the code opens: that which it was asked for, as it was then; one asked for nobody opens the
    /// account that has proven the address by now.
    async fn owner(&self, tx: &mut Tx, proven: &Verification, now: Timestamp) -> Result<Option<User>, Error> {
        let address = &proven.destination;
        match proven.holder {
            Holder::Account { id, epoch } => {
                let user = tx.user(id).await?.filter(|user| user.epoch == epoch);
                user.map(Some).ok_or(Error::InvalidCode)
            }
            Holder::Newcomer => {
                let Some(taken) = tx.taken_identifier(&address.clone().into(), None, now).await? else {
                    return Ok(None);
                };
                let opens = |user: &User| user.disabled_at.is_none() && user.proven_address(address).is_some();
                let owner = tx.user_by_address(address).await?.filter(opens);
                owner.map(Some).ok_or_else(|| Error::taken(taken)) // a disabled account's, or suspended
            }
            Holder::Registration | Holder::Phantom => Err(Error::InvalidCode),
        }
    }

    /// The ways into a dormant account, if the code went to its mobile alone.
    fn ways_but_mobile(&self, owner: &User, proven: &Verification, now: Timestamp) -> Option<Vec<String>> {
        let is_mobile_alone = proven.destination.channel() == Channel::Sms && proven.login_id_hash.is_none();
        owner.ways_but_mobile(self.dormant_after, now).filter(|_| is_mobile_alone)
    }

    async fn enter(
        &self,
        tx: Tx,
        user: User,
        proven: &Verification,
        client: &Client,
        now: Timestamp,
    ) -> Result<NewSession, Error> {
        let mut session = self.open_session(tx, &user, proven, (client, false), now).await;
        if matches!(session, Err(StoreError::Stale)) {
            // It may have no room for one more.
            let tx = self.core.store.begin().await?;
            session = self.open_session(tx, &user, proven, (client, true), now).await;
        }
        match session {
            Ok(session) => Ok(NewSession { user, session, is_new: false }),
            Err(StoreError::Stale) => Err(Error::InvalidCode),
            Err(error) => Err(error.into()),
        }
    }

    async fn open_session(
        &self,
        mut tx: Tx,
        user: &User,
        proven: &Verification,
        (client, makes_room): (&Client, bool),
        now: Timestamp,
    ) -> Result<Session, StoreError> {
        let (address, LoginService { opener, event_log, .. }) = (&proven.destination, &self.login);
        let (session, events) = opener.open(&mut tx, user, client, (Some(address), makes_room), now).await?;
        tx.use_verification(proven.id, None, now)?;
        event_log.append(&mut tx, events, Origin::client(client).about(address), now).await?;
        event_log.commit(tx).await?;
        Ok(session)
    }

    async fn create(
        &self,
        tx: Tx,
        proven: Verification,
        submission: &CodeSubmission,
        client: &Client,
        now: Timestamp,
    ) -> Result<NewSession, Error> {
        let sign_up = proven.sign_up.clone().unwrap_or_default();
        let sign_up = sign_up.for_caller(client, submission.reference.id.is_some());
        let user = User::from_registration(sign_up.into_registration(self.core.random.id(now), &proven, now), now);
        let (destination, verification) = (&proven.destination, proven.id);
        let (was_pending, opens_session) = (false, true);
        let new = NewAccount { user: &user, destination, verification, was_pending, client, opens_session };
        let session = self.creator.create(tx, new, now).await.map_err(|error| match error {
            StoreError::Taken(_) => Error::Conflict, // proven meanwhile: once more, and it opens that account
            StoreError::Stale => Error::InvalidCode,
            error => error.into(),
        })?;
        let session = session.ok_or(Error::InvalidCode)?;
        Ok(NewSession { user, session, is_new: true })
    }

    /// Takes the number from an account that was not used for long, and tells its other address.
    async fn release_mobile(&self, tx: &mut Tx, owner: &User, client: &Client, now: Timestamp) -> Result<(), Error> {
        let Some(mobile) = owner.address_of(Channel::Sms) else { return Ok(()) };
        let notice = NoticeKind::ContactRemoved;
        let others = owner.proven_addresses().into_iter().filter(|address| *address != mobile).collect();
        let told = self.notices.due(tx, notice, others).await?;
        tx.remove_contact(owner, Channel::Sms, now).await?.ok_or(Error::Conflict)?;
        self.notices.enqueue(tx, owner, &told, notice, Some(&mobile), now)?;
        let (user_id, channel, change) = (owner.id, Channel::Sms, ContactChange::Removed);
        let removed = EventKind::ContactChanged { user_id, channel, change };
        let revoked = EventKind::all_revoked(owner.id, None, Reason::Ended);
        Ok(self.login.event_log.append(tx, [removed, revoked], Origin::client(client).about(&mobile), now).await?)
    }
}
