//! Notices: messages without a code.

use super::Core;
use crate::{
    domain::{Address, DAY, MessagePayload, Notice, NoticeKind, Timestamp, User, message_owner},
    store::{QueuedMessage, StoreError, Tx},
    telemetry,
};

/// Informs people of changes to their account.
#[derive(Clone)]
pub struct Notices {
    pub(crate) core: Core,
}

impl Notices {
    /// Queues the notice to each address; the caller commits, and wakes the delivery worker.
    pub(crate) async fn enqueue(
        &self,
        tx: &mut Tx,
        user: &User,
        to: &[Address],
        notice: NoticeKind,
        new_address: Option<&Address>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for to in to {
            let payload = MessagePayload::Notice(Notice {
                to: to.clone(),
                notice,
                new_address: new_address.map(Address::masked),
                locale: user.locale.clone(),
            });
            let message = QueuedMessage {
                verification: None,
                phantom: false,
                user: Some(user.id),
                destination: to.masked(),
                body: self.core.keyring.seal(&message_owner(None), &payload.to_json(), &*self.core.random),
                deadline: now.plus(DAY),
                traceparent: telemetry::traceparent(),
            };
            tx.enqueue(&message, now).await?;
        }
        Ok(())
    }
}
