//! Account recovery: a new password by a code.

use std::time::Duration;

use crate::{
    domain::{Address, Channel, Client, EventKind, Holder, NoticeKind, Origin, Password, Reason, User, Verification},
    engine::{CodeChecker, CodeSubmission, Core, EventLog, NewPassword, PasswordChecker, PasswordWriter, RateLimits},
    error::Error,
};

/// Sets a new password by a code.
#[derive(Clone)]
pub struct RecoveryService {
    pub(crate) core: Core,
    pub(crate) checker: CodeChecker,
    pub(crate) passwords: PasswordChecker,
    pub(crate) rate_limits: RateLimits,
    pub(crate) writer: PasswordWriter,
    pub(crate) event_log: EventLog,
    /// An account that was not used for so long is not opened by a code to its mobile alone; `None`: any is.
    pub(crate) dormant_after: Option<Duration>,
}

impl RecoveryService {
    /// Sets the password and ends every session, live code and pending contact change; the owner is informed. The other
    /// address is suspended where it was proven lately, and after this one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for a code that is not valid now. [`Error::Invalid`] if the password is one of the
    /// account's identifiers, [`Error::Dormant`] if the account was not used for long: the code stays valid.
    pub async fn reset(&self, submission: &CodeSubmission, new: &Password, client: &Client) -> Result<(), Error> {
        let subject = self.checker.find(submission, client).await?;
        let hash = self.rate_limits.count_hash(client, self.passwords.hash_new(new, client)).await?;
        let set = |verification| self.set_password(verification, new, &hash, client);
        let user = self.checker.redeem(&submission.code, subject, client, set).await?;
        let given = submission.reference.address.as_ref().map(Address::key);
        self.rate_limits.reset_failures(given, &user).await;
        self.checker.issuer.wake.notify_one();
        Ok(())
    }

    async fn set_password(
        &self,
        proven: Verification,
        new: &Password,
        hash: &str,
        client: &Client,
    ) -> Result<User, Error> {
        let Holder::Account { id, epoch } = proven.holder else { return Err(Error::InvalidCode) };
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let user = tx.user(id).await?.filter(|user| user.epoch == epoch).ok_or(Error::InvalidCode)?;
        let ways = user.ways_but_mobile(self.dormant_after, now);
        if let Some(ways) = ways.filter(|_| proven.destination.channel() == Channel::Sms) {
            return Err(Error::Dormant(ways));
        }
        user.check_password(new).map_err(|error| Error::field(error.at("new_password")))?;
        let (let_in_by, notice) = (proven.destination.hash(), NoticeKind::PasswordReset);
        let new = NewPassword { user: &user, hash, let_in_by: Some(&let_in_by), notice, client };
        let replaced = self.writer.replace(&mut tx, new, now).await?.ok_or(Error::InvalidCode)?;
        if !tx.mark_verified(proven.id, None, now).await? {
            return Err(Error::InvalidCode);
        }
        self.writer.tell(&mut tx, &replaced, now).await?;
        let reason = Reason::PasswordReset;
        let changed = EventKind::PasswordChanged { user_id: id, reason };
        let events = [changed, EventKind::all_revoked(id, None, reason)];
        self.event_log.append(&mut tx, events, Origin::client(client).about(&proven.destination), now).await?;
        self.event_log.commit(tx).await?;
        Ok(user)
    }
}
