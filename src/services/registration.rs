use std::time::Duration;

use uuid::Uuid;

use super::{
    Credentials, IssuedCode, Issuer, Throttle,
    issuing::{NewCode, Unpublished},
    throttle::{FAILURES, Slot},
};
use crate::{
    crypto::{Hasher, Recipe, sha256},
    domain::{Address, Client, Email, Locale, LoginId, Mobile, Password, PersonName, Purpose, Registration, Timestamp},
    error::{Error, Refused},
    store::{Destination, Store, Tx},
};

/// Takes registrations and sends their codes.
#[derive(Clone)]
pub struct RegistrationService {
    pub store: Store,
    pub issuer: Issuer,
    pub throttle: Throttle,
    pub hasher: Hasher,
    pub credentials: Credentials,
    /// How long a registration outlives its last code's sending.
    pub ttl: Duration,
}

/// What somebody wants to become.
#[derive(Debug, Clone)]
pub struct NewRegistration {
    pub destination: Address,
    pub email: Option<Email>,
    pub mobile: Option<Mobile>,
    pub login_id: Option<LoginId>,
    pub name: Option<PersonName>,
    pub locale: Option<Locale>,
    pub password: Password,
}

/// A pending registration and the code that will prove it.
#[derive(Debug, Clone)]
pub struct Registered {
    pub user_id: Uuid,
    pub code: IssuedCode,
}

/// How the transaction of a register ended.
enum Outcome {
    Issued(Uuid, Unpublished),
    /// The same registration, within `resend_after` of its code: nothing changes.
    Same(Registered),
    /// No code may be sent for the destination yet.
    TooSoon(Error),
}

impl RegistrationService {
    /// Registers somebody, to be proven by a code; the same password again is the same registration.
    ///
    /// # Errors
    ///
    /// [`Error::AccountExists`] where an account has proven an address or has the login id;
    /// [`Error::TooManyRequests`] by any of the limits; within `resend_after` of another's code,
    /// another password counts as a wrong one of the destination.
    pub async fn register(&self, new: NewRegistration, client: &Client) -> Result<Registered, Error> {
        let send = self.throttle.send(client).await?;
        let outcome = self.register_counted(new, client).await;
        if !matches!(outcome, Ok(_) | Err(Error::AccountExists(_))) {
            send.give_back().await;
        }
        outcome
    }

    async fn register_counted(&self, new: NewRegistration, client: &Client) -> Result<Registered, Error> {
        let key = new.destination.key();
        let mut reading = self.store.read().await?;
        let newest = reading.pending(&key, self.issuer.clock.now()).await?.into_iter().next();
        let destination = reading.destination(&sha256(key.as_bytes())).await?;
        drop(reading); // a connection is not held while hashing

        let cooling = self.cooling(&destination);
        let failures = match cooling {
            None => None,
            Some(left) => Some(self.count_password(&key, destination.lifted_at, client, left).await?),
        };
        let recipe = newest.and_then(|newest| Recipe::of(&newest.password_hash));
        let hashed = self.hash(&new.password, recipe.unwrap_or_else(|| self.credentials.pending_recipe(&key)), client);
        let outcome = match hashed.await {
            Ok(password_hash) => run_twice(|| self.write(&new, &password_hash, client)).await,
            Err(error) => Err(error),
        };
        let wrong_password = matches!(outcome, Ok(Outcome::TooSoon(_)));
        match failures {
            Some(slots) if !wrong_password => {
                for slot in slots {
                    slot.give_back().await;
                }
            }
            // The code that it is too soon after came while we hashed.
            None if wrong_password => drop(self.throttle.password(&key, destination.lifted_at, client).await?),
            _ => {}
        }
        match outcome? {
            Outcome::Issued(user_id, code) => Ok(Registered { user_id, code: self.issuer.publish(code).await? }),
            Outcome::Same(registered) => Ok(registered),
            Outcome::TooSoon(refused) => Err(refused),
        }
    }

    /// While a code is fresh, a register tells whether its password is right: so it counts as a try.
    async fn count_password(
        &self,
        key: &str,
        since: Timestamp,
        client: &Client,
        left: Duration,
    ) -> Result<[Slot; 2], Error> {
        self.throttle.password(key, since, client).await.map_err(|error| match error {
            Error::TooManyAttempts(refused) if refused.policy == FAILURES => {
                Error::TooManyAttempts(Refused { retry_after: left, ..refused })
            }
            other => other,
        })
    }

    async fn hash(&self, password: &Password, recipe: Recipe, client: &Client) -> Result<String, Error> {
        let _counted = self.throttle.hash(client).await?;
        Ok(self.hasher.hash(password, recipe).await?)
    }

    async fn write(&self, new: &NewRegistration, password_hash: &str, client: &Client) -> Result<Outcome, Error> {
        let key = new.destination.key();
        let mut tx = self.store.begin().await?;
        let (mut destination, now) = self.issuer.lock(&mut tx, &key).await?;
        if let Some(taken) = tx.taken(new.email.as_ref(), new.mobile.as_ref(), new.login_id.as_ref()).await? {
            return Err(Error::taken(taken));
        }
        tx.remove_expired(&key, now).await?;
        let existing = tx.pending(&key, now).await?.into_iter().find(|it| it.password_hash == password_hash);
        if let Some(same) = existing.as_ref().filter(|it| it.last_code_at.plus(self.resend_after()) > now) {
            return self.as_it_stands(&mut tx, same, &destination, now).await.map(Outcome::Same);
        }
        if let Err(too_soon) = self.issuer.admit(&destination, Purpose::Registration, now) {
            return Ok(Outcome::TooSoon(too_soon));
        }
        let first = existing.is_none();
        let registration = self.pending(new, existing, password_hash, client, now);
        if first {
            tx.insert_registration(&registration).await?;
        } else if !tx.renew_registration(&registration).await? {
            return Err(Error::Lost); // proven meanwhile
        }
        let code = NewCode::registration(&registration, first);
        let code = self.issuer.issue(&mut tx, &mut destination, &code, now).await?;
        tx.commit().await?;
        Ok(Outcome::Issued(registration.id, code))
    }

    fn pending(
        &self,
        new: &NewRegistration,
        existing: Option<Registration>,
        password_hash: &str,
        client: &Client,
        now: Timestamp,
    ) -> Registration {
        let random = &*self.issuer.random;
        let (id, verification_id, created_at) = existing
            .map_or_else(|| (random.id(now), random.secret_id(), now), |it| (it.id, it.verification_id, it.created_at));
        Registration {
            id,
            verification_id,
            destination: new.destination.clone(),
            email: new.email.clone(),
            mobile: new.mobile.clone(),
            login_id: new.login_id.clone(),
            name: new.name.as_ref().map(|name| name.as_str().to_owned()),
            locale: new.locale.as_ref().map(|locale| locale.as_str().to_owned()),
            password_hash: password_hash.to_owned(),
            client: client_hash(client),
            last_code_at: now,
            expires_at: now.plus(self.ttl),
            created_at,
        }
    }

    async fn as_it_stands(
        &self,
        tx: &mut Tx,
        registration: &Registration,
        destination: &Destination,
        now: Timestamp,
    ) -> Result<Registered, Error> {
        let challenge = tx.challenge(registration.verification_id, now).await?.ok_or(Error::Lost)?;
        let code = self.issuer.issued(&challenge.verification, destination, now);
        Ok(Registered { user_id: registration.id, code })
    }

    fn resend_after(&self) -> Duration {
        self.issuer.settings.resend_after
    }

    /// How long a code for the destination stays fresh, if one is.
    fn cooling(&self, destination: &Destination) -> Option<Duration> {
        let last = destination.history.last_send(Purpose::Registration)?;
        let left = last.plus(self.resend_after()).after(self.issuer.clock.now());
        (left > Duration::ZERO).then_some(left)
    }
}

/// Runs a transaction, and once more when it lost to another one.
pub(super) async fn run_twice<T, F: Future<Output = Result<T, Error>>>(run: impl Fn() -> F) -> Result<T, Error> {
    match run().await {
        Err(Error::Lost) => run().await,
        outcome => outcome,
    }
}

/// A client's network is kept hashed: it only ever is compared.
pub(super) fn client_hash(client: &Client) -> Vec<u8> {
    sha256(client.network().as_bytes())
}
