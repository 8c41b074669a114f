use std::sync::Arc;

use super::Throttle;
use crate::{
    crypto::{Hasher, Keyring, MacUse, Recipe, sha256},
    domain::{Address, Client, Clock, Password, Registration},
    error::Error,
    store::{Connection, Store, StoreError},
};

/// Finds out whose password it is: by one hash, and one more where an account has the address.
#[derive(Clone)]
pub struct Credentials {
    pub store: Store,
    pub throttle: Throttle,
    pub hasher: Hasher,
    pub keyring: Keyring,
    pub clock: Arc<dyn Clock>,
}

/// A name and a password, as HTTP Basic carries them.
#[derive(Debug, Clone)]
pub struct BasicCredentials {
    /// `None` for what can't be anybody's.
    pub address: Option<Address>,
    /// As it was sent, for counting.
    pub identifier: String,
    pub password: Option<Password>,
}

impl BasicCredentials {
    /// What wrong passwords are counted under.
    pub(crate) fn counted_as(&self) -> String {
        self.address.as_ref().map_or_else(|| self.identifier.clone(), Address::key)
    }
}

/// Whose the password is.
pub(crate) enum Owner {
    Pending(Box<Registration>),
    /// An account, active already.
    Account,
}

impl Credentials {
    /// How the first password pending for a destination is hashed: later ones take its salt, so that
    /// the same person registering again is recognised by equality.
    pub(crate) fn pending_recipe(&self, destination: &str) -> Recipe {
        let mac = self.keyring.current().mac(MacUse::PendingSalt, &[destination.as_bytes()]);
        self.hasher.recipe(&mac[..16])
    }

    /// The registration pending under this address and password, else the account that has both.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCredentials`], counted for the address and the client; where those are spent
    /// [`Error::TooManyAttempts`], for the right password too.
    pub(crate) async fn owner(&self, basic: &BasicCredentials, client: &Client) -> Result<Owner, Error> {
        let key = basic.counted_as();
        let since = self.store.read().await?.destination(&sha256(key.as_bytes())).await?.lifted_at;
        let counted = self.throttle.password(&key, since, client).await?;
        let owner = self.find(basic, client).await;
        counted.settle(matches!(owner, Err(Error::InvalidCredentials))).await;
        owner
    }

    /// Those pending for the address, the newest first; else the newest that names it.
    pub(crate) async fn pending(
        &self,
        reading: &mut Connection,
        address: &Address,
    ) -> Result<Vec<Registration>, StoreError> {
        let now = self.clock.now();
        let mut pending = reading.pending(&address.key(), now).await?;
        if pending.is_empty() {
            pending.extend(reading.newest_naming(address, now).await?);
        }
        Ok(pending)
    }

    async fn find(&self, basic: &BasicCredentials, client: &Client) -> Result<Owner, Error> {
        let _counted = self.throttle.hash(client).await?;
        let (Some(address), Some(password)) = (&basic.address, &basic.password) else {
            return Err(Error::InvalidCredentials);
        };
        let mut reading = self.store.read().await?;
        let pending = self.pending(&mut reading, address).await?;
        let account = reading.user_by_address(address).await?.filter(|user| user.disabled_at.is_none());
        drop(reading); // a connection is not held while hashing

        let recipe = pending.first().and_then(|newest| Recipe::of(&newest.password_hash));
        let recipe = recipe.unwrap_or_else(|| self.pending_recipe(&address.key()));
        let hash = self.hasher.hash(password, recipe).await?;
        if let Some(registration) = pending.into_iter().find(|registration| registration.password_hash == hash) {
            return Ok(Owner::Pending(Box::new(registration)));
        }
        let Some(kept) = account.and_then(|user| user.password_hash) else {
            return Err(Error::InvalidCredentials);
        };
        let recipe = Recipe::of(&kept).ok_or(Error::InvalidCredentials)?;
        if self.hasher.hash(password, recipe).await? == kept {
            Ok(Owner::Account)
        } else {
            Err(Error::InvalidCredentials)
        }
    }
}
