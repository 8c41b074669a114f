use uuid::Uuid;

use super::Issuer;
use crate::{
    crypto::sha256,
    domain::{Address, Client, Purpose, Registration},
    error::Error,
    store::Connection,
};

/// How a code is named: by its verification's id, by an address, or by both.
#[derive(Debug, Clone)]
pub struct Which {
    pub address: Option<Address>,
    pub id: Option<Uuid>,
}

impl Which {
    /// The one registration pending for an address: of several, the one last registered from the
    /// caller's own network.
    ///
    /// # Errors
    ///
    /// [`Error::VerificationIdRequired`] where that leaves a doubt: otherwise a stranger's password
    /// could slip under somebody else's code.
    pub(crate) async fn pending_at(
        connection: &mut Connection,
        address: &Address,
        issuer: &Issuer,
        client: &Client,
    ) -> Result<Option<Registration>, Error> {
        if issuer.settings.policy(Purpose::Registration, address.channel()).needs_id() {
            return Err(Error::VerificationIdRequired);
        }
        let mut pending = connection.pending(&address.key(), issuer.clock.now()).await?;
        if pending.len() > 1 {
            let own = client_hash(client);
            pending.retain(|registration| registration.client == own);
            if pending.len() != 1 {
                return Err(Error::VerificationIdRequired);
            }
        }
        Ok(pending.pop())
    }
}

/// A client's network is kept hashed: it only ever is compared.
pub(crate) fn client_hash(client: &Client) -> Vec<u8> {
    sha256(client.network().as_bytes())
}
