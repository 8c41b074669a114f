use uuid::Uuid;

use crate::{
    domain::{Address, Client, IssuedCode, Purpose, Registration},
    engine::{
        Issuer, Throttle, Which,
        code_issuer::{NewCode, Unpublished},
        retry::run_twice,
    },
    error::Error,
    store::Store,
};

/// Sends new codes for pending registrations.
#[derive(Clone)]
pub struct ResendService {
    pub store: Store,
    pub issuer: Issuer,
    pub throttle: Throttle,
    pub registration_ttl: std::time::Duration,
}

/// A new code, and whether who asked showed the id: only they are told it.
#[derive(Debug, Clone)]
pub struct Resend {
    pub code: IssuedCode,
    pub with_id: bool,
}

/// Whom a new code is for.
enum Target {
    Registration {
        id: Uuid,
        destination: Address,
        /// Who asked showed the id; else it must not be told whether anything is pending.
        with_id: bool,
    },
    /// Nothing is pending at the address; the answer does not say so.
    Nobody(Address),
}

impl ResendService {
    /// Sends a new code; the old one is dead.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownVerification`] for an id that belongs to no registration, or not to the
    /// address beside it; none for an address where nothing is pending.
    pub async fn resend(&self, which: Which, client: &Client) -> Result<Resend, Error> {
        let send = self.throttle.send(client).await?;
        let with_id = which.id.is_some();
        let outcome = match self.target(which, client).await {
            Ok(target) => run_twice(|| self.write(&target)).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(code) => Ok(Resend { code: self.issuer.publish(code).await?, with_id }),
            Err(error) => {
                send.give_back().await;
                Err(error)
            }
        }
    }

    async fn target(&self, which: Which, client: &Client) -> Result<Target, Error> {
        let mut reading = self.store.read().await?;
        let (registration, with_id) = match (which.id, which.address) {
            (Some(id), address) => {
                let registration = reading.registration(id, self.issuer.clock.now()).await?;
                let its_own = |it: &Registration| address.is_none_or(|address| it.names(&address));
                (registration.filter(its_own).ok_or(Error::UnknownVerification)?, true)
            }
            (None, Some(address)) => match Which::pending_at(&mut reading, &address, &self.issuer, client).await? {
                Some(registration) => (registration, false),
                None => return Ok(Target::Nobody(address)),
            },
            (None, None) => return Err(Error::UnknownVerification),
        };
        let Registration { verification_id: id, destination, .. } = registration;
        Ok(Target::Registration { id, destination, with_id })
    }

    async fn write(&self, target: &Target) -> Result<Unpublished, Error> {
        let (Target::Nobody(destination) | Target::Registration { destination, .. }) = target;
        let mut tx = self.store.begin().await?;
        let (mut history, now) = self.issuer.lock(&mut tx, &destination.key()).await?;
        self.issuer.admit(&history, Purpose::Registration, now)?;
        // Read under the lock: another code may have come, or the account.
        let pending = match target {
            Target::Nobody(_) => None,
            Target::Registration { id, with_id, .. } => {
                let registration = tx.registration(*id, now).await?;
                if registration.is_none() && *with_id {
                    return Err(Error::UnknownVerification);
                }
                registration
            }
        };
        let code = match pending {
            None => {
                let code = NewCode::phantom(Purpose::Registration, destination, self.issuer.random.secret_id());
                self.issuer.issue(&mut tx, &mut history, &code, now).await?
            }
            Some(mut registration) => {
                registration.last_code_at = now;
                registration.expires_at = now.plus(self.registration_ttl);
                if !tx.renew_registration(&registration).await? {
                    return Err(Error::Lost); // proven meanwhile
                }
                let code = NewCode::registration(&registration, false);
                self.issuer.issue(&mut tx, &mut history, &code, now).await?
            }
        };
        tx.commit().await?;
        Ok(code)
    }
}
