//! Notices: messages without a code.

use uuid::Uuid;

use super::Core;
use crate::{
    domain::{
        Address, DAY, DestinationRecord, MessagePayload, Notice, NoticeKind, Purpose, Timestamp, User, Way,
        message_owner,
    },
    store::{QueuedMessage, StoreError, Tx},
    telemetry,
};

/// Informs people of changes to their account.
#[derive(Clone)]
pub struct Notices {
    pub(crate) core: Core,
}

impl Notices {
    /// Those of the addresses that may be told now, which is recorded. Their records are locked, in one order.
    pub(crate) async fn due(
        &self,
        tx: &mut Tx,
        notice: NoticeKind,
        mut addresses: Vec<Address>,
    ) -> Result<Vec<Address>, StoreError> {
        addresses.sort_by_key(Address::hash);
        let mut due = Vec::new();
        for address in addresses {
            let (way, now) = (Way::new(Purpose::ContactChange, &address), self.core.now());
            let mut record = tx.lock_destination(way, now).await?;
            if record.history.record_notice(notice, now) {
                tx.update_history(&way.record_key(), &record.history)?;
                due.push(address);
            }
        }
        Ok(due)
    }

    /// Tells the owner of an address that somebody registered it, unless it was told within the hour. The record is the
    /// address's, locked, and the caller writes it.
    pub(crate) async fn tell_registered(
        &self,
        tx: &mut Tx,
        record: &mut DestinationRecord,
        address: &Address,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let notice = NoticeKind::AlreadyRegistered;
        let owner = tx.user_by_address(address).await?.filter(|owner| owner.disabled_at.is_none());
        match owner.filter(|_| record.history.record_notice(notice, now)) {
            Some(owner) => self.enqueue(tx, &owner, std::slice::from_ref(address), notice, None, now),
            None => Ok(()),
        }
    }

    /// Queues the notice to each address; the caller commits, and wakes the delivery worker.
    pub(crate) fn enqueue(
        &self,
        tx: &mut Tx,
        user: &User,
        to: &[Address],
        notice: NoticeKind,
        about: Option<&Address>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for to in to {
            let (address, locale) = (about.map(Address::masked), user.locale.clone());
            self.queue(tx, Some(user.id), Notice { to: to.clone(), notice, address, locale }, now)?;
        }
        Ok(())
    }

    /// Queues a notice to an address that is nobody's yet; the caller commits.
    pub(crate) fn enqueue_to(
        &self,
        tx: &mut Tx,
        to: &Address,
        notice: NoticeKind,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.queue(tx, None, Notice { to: to.clone(), notice, address: None, locale: None }, now)
    }

    fn queue(&self, tx: &mut Tx, user: Option<Uuid>, notice: Notice, now: Timestamp) -> Result<(), StoreError> {
        let destination = notice.to.masked();
        let payload = MessagePayload::Notice(notice);
        let message = QueuedMessage {
            verification: None,
            phantom: false,
            user,
            destination,
            body: self.core.keyring.seal(&message_owner(None), &payload.to_json(), &*self.core.random),
            deadline: now.plus(DAY),
            traceparent: telemetry::traceparent(),
        };
        tx.enqueue(&message, now)
    }
}
