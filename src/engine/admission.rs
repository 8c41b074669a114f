//! Judging registrations by the rules of registering.

use super::Core;
use crate::{
    domain::{Address, Identifiers, RegistrationRules},
    error::Error,
};

/// Judges who may register; an invitation opens what the rules close.
#[derive(Clone)]
pub struct Admission {
    pub(crate) core: Core,
    pub(crate) rules: RegistrationRules,
}

impl Admission {
    /// Judges a registration with these identifiers, whose code goes to the destination.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the domain of the email, [`Error::RegistrationClosed`].
    pub(crate) async fn check(&self, identifiers: &Identifiers, destination: &Address) -> Result<(), Error> {
        if let Some(email) = &identifiers.email
            && let Err(error) = self.rules.check_domain(email)
            && !self.is_invited(&Address::Email(email.clone())).await?
        {
            return Err(Error::field(error));
        }
        // The address that the code goes to: one beside it is proven by nobody.
        if self.rules.closed && !self.is_invited(destination).await? {
            return Err(Error::RegistrationClosed);
        }
        Ok(())
    }

    /// Whether the address may register by itself.
    pub(crate) async fn admits(&self, address: &Address) -> Result<bool, Error> {
        match self.check(&address.clone().into(), address).await {
            Ok(()) => Ok(true),
            Err(Error::Invalid(_) | Error::RegistrationClosed) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn is_invited(&self, address: &Address) -> Result<bool, Error> {
        Ok(self.core.store.read().await?.is_invited(&address.hash(), self.core.now()).await?)
    }
}
