use uuid::Uuid;

use super::{
    IssuedCode, Issuer, Throttle,
    issuing::{NewCode, Unpublished},
    registration::run_twice,
};
use crate::{
    domain::{Address, Client, Purpose, Registration},
    error::Error,
    services::registration::client_hash,
    store::{Connection, Store},
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

/// How a registration is named: by its id, by an address, or by both.
#[derive(Debug, Clone)]
pub struct WhichRegistration {
    pub address: Option<Address>,
    pub id: Option<Uuid>,
}

/// Whom a new code is for.
enum Target {
    Registration(Uuid),
    /// Nothing is pending at the address; the answer does not say so.
    Nobody(Address),
}

impl WhichRegistration {
    /// The one registration pending for an address: of several, the one last registered from the
    /// caller's own network.
    ///
    /// # Errors
    ///
    /// [`Error::VerificationIdRequired`] where that leaves a doubt: otherwise a stranger's password
    /// could slip under somebody else's code.
    pub(super) async fn pending_at(
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

impl ResendService {
    /// Sends a new code; the old one is dead.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownVerification`] for an id that belongs to no registration, or not to the
    /// address beside it; none for an address where nothing is pending.
    pub async fn resend(&self, which: WhichRegistration, client: &Client) -> Result<Resend, Error> {
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

    async fn target(&self, which: WhichRegistration, client: &Client) -> Result<Target, Error> {
        let mut reading = self.store.read().await?;
        match which {
            WhichRegistration { id: Some(id), address } => {
                let registration = reading.registration(id, self.issuer.clock.now()).await?;
                let registration = registration.ok_or(Error::UnknownVerification)?;
                if address.is_some_and(|address| !registration.names(&address)) {
                    return Err(Error::UnknownVerification);
                }
                Ok(Target::Registration(id))
            }
            WhichRegistration { id: None, address: Some(address) } => {
                let pending = WhichRegistration::pending_at(&mut reading, &address, &self.issuer, client).await?;
                Ok(pending.map_or(Target::Nobody(address), |it| Target::Registration(it.verification_id)))
            }
            WhichRegistration { id: None, address: None } => Err(Error::UnknownVerification),
        }
    }

    async fn write(&self, target: &Target) -> Result<Unpublished, Error> {
        let now = self.issuer.clock.now();
        let key = match target {
            Target::Nobody(address) => address.key(),
            Target::Registration(id) => {
                let registration = self.store.read().await?.registration(*id, now).await?;
                registration.ok_or(Error::UnknownVerification)?.destination.key()
            }
        };
        let mut tx = self.store.begin().await?;
        let (mut destination, now) = self.issuer.lock(&mut tx, &key).await?;
        self.issuer.admit(&destination, Purpose::Registration, now)?;
        let code = match target {
            Target::Nobody(address) => {
                let code = NewCode::phantom(Purpose::Registration, address, self.issuer.random.secret_id());
                self.issuer.issue(&mut tx, &mut destination, &code, now).await?
            }
            Target::Registration(id) => {
                // Read again: another code for the destination may have come before the lock.
                let mut registration = tx.registration(*id, now).await?.ok_or(Error::Lost)?;
                registration.last_code_at = now;
                registration.expires_at = now.plus(self.registration_ttl);
                if !tx.renew_registration(&registration).await? {
                    return Err(Error::Lost); // proven meanwhile
                }
                let code = NewCode::registration(&registration, false);
                self.issuer.issue(&mut tx, &mut destination, &code, now).await?
            }
        };
        tx.commit().await?;
        Ok(code)
    }
}
