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
    /// Whether it was registered: it has the id of a registration, which must be there still.
    pub(crate) was_pending: bool,
    pub(crate) client: &'a Client,
    pub(crate) opens_session: bool,
}

impl AccountCreator {
    /// Inserts the account, ends all that is pending for its address, uses the verification, opens the first session
    /// and commits.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if an identifier was taken meanwhile, [`StoreError::Stale`] if the registration or the
    /// verification was used.
    pub(crate) async fn create(
        &self,
        mut tx: Tx,
        new: NewAccount<'_>,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let NewAccount { user, destination, verification, was_pending, client, opens_session } = new;
        tx.insert_user(user).await?;
        if was_pending {
            tx.end_registrations(user.id, destination)?;
        } else {
            tx.delete_registrations(destination).await?;
        }
        tx.use_verification(verification, Some(user.id), now)?;
        let mut session = None;
        if opens_session {
            session = Some(self.opener.open_first(&mut tx, user, client, destination, now)?);
        }
        let (user_id, channel) = (user.id, Some(destination.channel()));
        let mut events = vec![EventKind::UserRegistered { user_id }, EventKind::UserActivated { user_id, channel }];
        events.extend(session.as_ref().map(Session::login_event));
        self.event_log.append(&mut tx, events, Origin::client(client).about(destination), now).await?;
        self.event_log.commit(tx).await?;
        Ok(session)
    }
}
