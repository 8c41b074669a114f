//! Replacing passwords, and suspending the address that a new one shuts out.

use super::{EventLog, Notices};
use crate::{
    domain::{Address, Client, ContactChange, DestinationHash, EventKind, NoticeKind, Origin, Timestamp, User},
    store::{StoreError, Tx},
};

/// Replaces passwords.
#[derive(Clone)]
pub struct PasswordWriter {
    pub(crate) notices: Notices,
    pub(crate) event_log: EventLog,
}

/// A password to be set.
#[derive(Clone, Copy)]
pub(crate) struct NewPassword<'a> {
    pub(crate) user: &'a User,
    pub(crate) hash: &'a str,
    /// The address whose code let the person in; `None` if the current password did.
    pub(crate) let_in_by: Option<&'a DestinationHash>,
    /// The notice that informs the owner.
    pub(crate) notice: NoticeKind,
    pub(crate) client: &'a Client,
}

/// A password that is set, of which nobody is told yet.
pub(crate) struct ReplacedPassword<'a> {
    new: NewPassword<'a>,
    /// The account's new one.
    pub(crate) epoch: i64,
    suspended: Option<Address>,
    told: Vec<Address>,
    told_of_suspension: Vec<Address>,
}

impl PasswordWriter {
    /// Sets the password, which steps the account's epoch, and suspends the address that it shuts out; `None` if the
    /// account changed since it was read. Afterwards [`tell`](Self::tell).
    pub(crate) async fn replace<'a>(
        &self,
        tx: &mut Tx,
        new: NewPassword<'a>,
        now: Timestamp,
    ) -> Result<Option<ReplacedPassword<'a>>, StoreError> {
        let NewPassword { user, hash, let_in_by, notice, .. } = new;
        let suspended = let_in_by.and_then(|by| user.suspended_by(by, now));
        // Their records are locked before the account.
        let told = self.notices.due(tx, notice, user.proven_addresses()).await?;
        let told_of_suspension = match &suspended {
            Some(_) => self.notices.due(tx, NoticeKind::ContactSuspended, user.proven_addresses()).await?,
            None => Vec::new(),
        };
        let Some(epoch) = tx.change_password(user, hash, now).await? else { return Ok(None) };
        if let Some(address) = &suspended {
            tx.suspend_contact(user.id, address.channel(), User::suspension_end(now)).await?;
        }
        Ok(Some(ReplacedPassword { new, epoch, suspended, told, told_of_suspension }))
    }

    /// Informs the owner; the caller commits, and wakes the delivery worker.
    pub(crate) async fn tell(
        &self,
        tx: &mut Tx,
        replaced: &ReplacedPassword<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ReplacedPassword { new, suspended, told, told_of_suspension, .. } = replaced;
        self.notices.enqueue(tx, new.user, told, new.notice, None, now)?;
        let Some(address) = suspended else { return Ok(()) };
        let notice = NoticeKind::ContactSuspended;
        self.notices.enqueue(tx, new.user, told_of_suspension, notice, Some(address), now)?;
        let (user_id, channel, change) = (new.user.id, address.channel(), ContactChange::Suspended);
        let suspended = EventKind::ContactChanged { user_id, channel, change };
        self.event_log.append(tx, [suspended], Origin::client(new.client).about(address), now).await
    }
}
