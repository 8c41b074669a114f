//! How a request names a code.

use std::collections::HashSet;

use uuid::Uuid;

use super::CodeIssuer;
use crate::{
    domain::{Address, Client, Purpose, Registration},
    error::Error,
    store::Reader,
};

/// How a request names a code: by its verification's id, by an address, or by both.
#[derive(Debug, Clone)]
pub struct VerificationRef {
    /// An address of the registration or account.
    pub address: Option<Address>,
    /// The verification's id.
    pub id: Option<Uuid>,
}

impl VerificationRef {
    /// The one pending registration that an address alone means: of several, the one that was last registered
    /// from the client's own network. Those without a password count as one a network, the newest: nothing tells them
    /// apart.
    ///
    /// # Errors
    ///
    /// [`Error::VerificationIdRequired`] if there is a doubt: otherwise a stranger's password could slip under
    /// somebody else's code.
    pub(crate) async fn pending_at(
        reader: &mut Reader,
        address: &Address,
        issuer: &CodeIssuer,
        client: &Client,
    ) -> Result<Option<Registration>, Error> {
        if issuer.settings.policy(Purpose::Registration, address.channel()).needs_id() {
            return Err(Error::VerificationIdRequired);
        }
        let mut pending = reader.pending_registrations(address, issuer.core.now()).await?;
        let mut networks = HashSet::new();
        pending.retain(|new| new.password_hash.is_some() || networks.insert(new.client_hash.clone()));
        if pending.len() > 1 {
            let own = client.network_hash();
            pending.retain(|registration| registration.client_hash == own);
            if pending.len() != 1 {
                return Err(Error::VerificationIdRequired);
            }
        }
        Ok(pending.pop())
    }
}
