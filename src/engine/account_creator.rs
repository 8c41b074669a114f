//! Creating the account whose address a code has proven.

use uuid::Uuid;

use super::{EventLog, SessionOpener};
use crate::{
    domain::{Address, Client, EventKind, Origin, Session, Timestamp, User},
    store::{StoreError, Tx},
};

/// Creates accounts.
#[derive(Clone)]
pub struct AccountCreator {
    pub(crate) opener: SessionOpener,
    pub(crate) event_log: EventLog,
}

/// An account that its code makes.
#[derive(Clone, Copy)]
pub(crate) struct NewAccount<'a> {
    pub(crate) user: &'a User,
    /// The address that was proven, and the verification that did it.
    pub(crate) destination: &'a Address,
    pub(crate) verification: Uuid,
    pub(crate) client: &'a Client,
    pub(crate) opens_session: bool,
}

/// The outcome of creating an account.
pub(crate) struct CreatedAccount {
    pub(crate) session: Option<Session>,
    /// The registrations that ended with it: all that were pending for the address.
    pub(crate) ended: Vec<Uuid>,
}

impl AccountCreator {
    /// Inserts the account, ends all that is pending for its address, uses the verification and opens the first
    /// session; the caller commits. `None` if the verification was used meanwhile.
    pub(crate) async fn create(
        &self,
        tx: &mut Tx,
        new: NewAccount<'_>,
        now: Timestamp,
    ) -> Result<Option<CreatedAccount>, StoreError> {
        let NewAccount { user, destination, verification, client, opens_session } = new;
        tx.insert_user(user).await?;
        let ended = tx.delete_registrations(destination).await?;
        if !tx.mark_verified(verification, Some(user.id), now).await? {
            return Ok(None);
        }
        let session =
            if opens_session { self.opener.open(tx, user, client, Some(destination), now).await? } else { None };
        let (user_id, channel) = (user.id, Some(destination.channel()));
        let mut events = vec![EventKind::UserRegistered { user_id }, EventKind::UserActivated { user_id, channel }];
        events.extend(session.as_ref().map(Session::login_event));
        self.event_log.append(tx, events, Origin::client(client).about(destination), now).await?;
        Ok(Some(CreatedAccount { session, ended }))
    }
}
