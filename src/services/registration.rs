use std::time::Duration;

use uuid::Uuid;

use crate::{
    crypto::{Hasher, Recipe, sha256},
    domain::{
        Address, Client, Email, Happening, IssuedCode, Locale, LoginId, Mobile, Password, PersonName, Purpose,
        Registration, Timestamp,
    },
    engine::{
        Credentials, Issuer, Journal, Throttle,
        code_issuer::{NewCode, Unpublished},
        rate_limits::{Counted, FAILURES},
        retry::run_twice,
        verification_ref::client_hash,
    },
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
    pub journal: Journal,
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

/// A registration that is written, and maybe its code's that is still to be made live.
enum Written {
    Issued(Uuid, Unpublished),
    Same(Registered),
}

/// How the transaction of a register ended.
enum Outcome {
    Issued(Uuid, Unpublished),
    /// The same registration, within `resend_after` of its code: nothing changes.
    Same(Registered),
    /// No code may be sent for the destination yet; while its last one is fresh, that tells of a
    /// password that it is none of those pending.
    TooSoon {
        refused: Error,
        wrong_password: bool,
    },
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
        match self.register_counted(new, client).await {
            // Committed: it counts, whatever becomes of the code store.
            Ok(Written::Issued(user_id, code)) => Ok(Registered { user_id, code: self.issuer.publish(code).await? }),
            Ok(Written::Same(registered)) => Ok(registered),
            Err(error @ Error::AccountExists(_)) => Err(error),
            Err(error) => {
                send.give_back().await;
                Err(error)
            }
        }
    }

    async fn register_counted(&self, new: NewRegistration, client: &Client) -> Result<Written, Error> {
        let key = new.destination.key();
        let mut reading = self.store.read().await?;
        let newest = reading.pending(&key, self.issuer.clock.now()).await?.into_iter().next();
        let destination = reading.destination(&sha256(key.as_bytes())).await?;
        drop(reading); // a connection is not held while hashing

        let failures = match self.cooling(&destination) {
            None => None,
            Some(left) => Some(self.count_password(&key, destination.lifted_at, client, left).await?),
        };
        let recipe = newest.and_then(|newest| Recipe::of(&newest.password_hash));
        let recipe = recipe.unwrap_or_else(|| self.credentials.pending_recipe(&key));
        let outcome = match self.hash(&new.password, recipe, client).await {
            Ok(password_hash) => run_twice(|| self.write(&new, &password_hash, client)).await,
            Err(error) => Err(error),
        };
        let wrong_password = matches!(outcome, Ok(Outcome::TooSoon { wrong_password: true, .. }));
        match failures {
            Some(counted) => counted.settle(wrong_password).await,
            // The code that is fresh came while we hashed.
            None if wrong_password => {
                let left = self.resend_after();
                let _counted = self.count_password(&key, destination.lifted_at, client, left).await?;
            }
            _ => {}
        }
        match outcome? {
            Outcome::Issued(user_id, code) => Ok(Written::Issued(user_id, code)),
            Outcome::Same(registered) => Ok(Written::Same(registered)),
            Outcome::TooSoon { refused, .. } => Err(refused),
        }
    }

    /// While a code is fresh, a register tells whether its password is right: so it counts as a try.
    async fn count_password(
        &self,
        key: &str,
        since: Timestamp,
        client: &Client,
        left: Duration,
    ) -> Result<Counted, Error> {
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
        let ever = tx.pending(&key, Timestamp::default()).await?; // those that are over, too
        let (live, over): (Vec<_>, Vec<_>) = ever.into_iter().partition(|it| it.expires_at > now);
        if !over.is_empty() {
            tx.remove_expired(&key, now).await?; // so that their passwords may register anew
        }
        let existing = live.into_iter().find(|it| it.password_hash == password_hash);
        if let Some(same) = existing.as_ref().filter(|it| it.last_code_at.plus(self.resend_after()) > now) {
            return self.as_it_stands(&mut tx, same, &destination, now).await.map(Outcome::Same);
        }
        if let Err(refused) = self.issuer.admit(&destination, Purpose::Registration, now) {
            let wrong_password = existing.is_none() && self.cooling(&destination).is_some();
            return Ok(Outcome::TooSoon { refused, wrong_password });
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
        let (user_id, channel) = (registration.id, registration.destination.channel());
        let happened = [Happening::RegistrationRequested { user_id, channel }];
        self.journal.record(&mut tx, happened, now).await?;
        self.journal.commit(tx).await?;
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
