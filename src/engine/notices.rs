use std::sync::Arc;

use crate::{
    crypto::Keyring,
    domain::{Address, DAY, Notice, NoticeKind, Outgoing, Random, Timestamp, User},
    store::{NewMessage, StoreError, Tx},
};

/// Tells people what becomes of their account, by messages without a code.
#[derive(Clone)]
pub struct Notices {
    pub keyring: Keyring,
    pub random: Arc<dyn Random>,
}

impl Notices {
    /// Queues the notice to each of these addresses; the caller commits, and wakes the worker.
    pub(crate) async fn tell(
        &self,
        tx: &mut Tx,
        user: &User,
        to: &[Address],
        notice: NoticeKind,
        new_address: Option<&Address>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for address in to {
            let outgoing = Outgoing::Notice(Notice {
                to: address.as_str().to_owned(),
                channel: address.channel(),
                notice,
                new_address: new_address.map(Address::masked),
                locale: user.locale.clone(),
            });
            let message = NewMessage {
                verification: None,
                void: false,
                user: Some(user.id),
                body: self.keyring.seal(&outgoing.to_json(), &*self.random),
                deadline: now.plus(DAY),
            };
            tx.enqueue(&message, now).await?;
        }
        Ok(())
    }
}
