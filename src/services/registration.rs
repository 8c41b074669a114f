//! Registering.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    crypto::{HashParams, Hasher},
    domain::{
        Address, AppHash, Client, DestinationRecord, EventKind, Holder, Identifiers, IssuedCode, JsonObject, Locale,
        Origin, Password, PersonName, Purpose, Reach, Registration, Timestamp, Way,
    },
    engine::{
        Admission, Caller, CodeIssuer, Core, EventLog, IDENTIFIER_FAILURES, InactiveCode, NewCode, Notices,
        PasswordAttempt, PasswordChecker, RateLimits, SendGate, locked_on_conflict,
    },
    error::{Error, ExceededLimit},
    store::{PendingState, Reader, StoreError},
};

/// Takes registrations and sends their codes.
#[derive(Clone)]
pub struct RegistrationService {
    pub(crate) core: Core,
    pub(crate) issuer: CodeIssuer,
    pub(crate) gate: SendGate,
    pub(crate) rate_limits: RateLimits,
    pub(crate) hasher: Hasher,
    pub(crate) passwords: PasswordChecker,
    pub(crate) notices: Notices,
    pub(crate) event_log: EventLog,
    pub(crate) admission: Admission,
    /// How long a registration outlives its last code's sending.
    pub(crate) ttl: Duration,
}

/// A validated register request.
#[derive(Debug, Clone)]
pub struct NewRegistration {
    /// The address that the code goes to.
    pub destination: Address,
    /// The email, mobile and login id.
    pub identifiers: Identifiers,
    /// The person's name.
    pub name: Option<PersonName>,
    /// The person's language.
    pub locale: Option<Locale>,
    /// A JSON object of the person's own.
    pub data: JsonObject,
    /// The Android app that asks.
    pub app_hash: Option<AppHash>,
    /// The password, unless a code alone is to be enough.
    pub password: Option<Password>,
}

/// A pending registration and the code that will prove it.
#[derive(Debug, Clone)]
pub struct PendingRegistration {
    /// The id of the future account.
    pub user_id: Uuid,
    /// When it was first registered.
    pub created_at: Timestamp,
    /// The code.
    pub code: IssuedCode,
}

/// The outcome of a register's transaction.
enum Outcome {
    /// A code was issued, which is not live yet.
    Issued { user_id: Uuid, created_at: Timestamp, code: InactiveCode },
    /// The same registration, within `resend_after` of its code: nothing changes.
    Unchanged(PendingRegistration),
    /// No code may be sent to the destination yet. While its last one is fresh, this also means a password that
    /// is none of those pending.
    TooSoon { error: Error, wrong_password: bool },
}

impl RegistrationService {
    /// Takes a registration, to be proven by a code; the same password again is the same registration, and each without a
    /// password is one of its own.
    ///
    /// # Errors
    ///
    /// [`Error::RegistrationClosed`] and [`Error::Invalid`] by the rules;
    /// [`Error::AccountExists`] if an account has proven an address or has the login id;
    /// [`Error::TooManyRequests`] by any of the limits. Within `resend_after` of another's code, another password
    /// counts as a wrong one of the destination.
    pub async fn register(
        &self,
        new: NewRegistration,
        solution: Option<&str>,
        client: &Client,
    ) -> Result<PendingRegistration, Error> {
        let mut pass = self.gate.enter(client, solution).await?;
        let outcome = async {
            pass.check(Reach::AnyAddress, &new.destination).await?;
            self.admission.check(&new.identifiers, &new.destination).await?;
            match Box::pin(self.write_counted(&new, client)).await? {
                Outcome::TooSoon { error, .. } => Err(error),
                outcome => Ok(outcome),
            }
        };
        let outcome = outcome.await;
        self.rate_limits.deferred.note(&outcome, &new.destination, client, self.core.now());
        pass.settle(&outcome).await;
        match outcome? {
            // Committed: it counts, whatever becomes of the code store.
            Outcome::Issued { user_id, created_at, code } => {
                Ok(PendingRegistration { user_id, created_at, code: self.issuer.activate(code).await? })
            }
            Outcome::Unchanged(pending) => Ok(pending),
            Outcome::TooSoon { error, .. } => Err(error),
        }
    }

    /// Hashes the password and writes the registration. While a code is fresh, a register reveals whether its
    /// password is right, so it counts as a password attempt.
    async fn write_counted(&self, new: &NewRegistration, client: &Client) -> Result<Outcome, Error> {
        let Some(password) = &new.password else {
            return locked_on_conflict(|is_locked| self.write(new, None, client, is_locked)).await;
        };
        let mut reader = self.core.store.read().await?;
        let PendingState { destination: record, mut pending, .. } =
            self.state(&mut reader, new, self.core.now()).await?;
        drop(reader); // a connection is not held while hashing

        let now = self.core.now();
        pending.retain(|(pending, _)| pending.expires_at > now);
        let fresh_for = self.fresh_for(&record);
        let attempt = match fresh_for {
            Some(left) => Some(self.count_password(new, &record, client, left).await?),
            None => None,
        };
        let outcome = match self.hash(new, password, &pending, client).await {
            Ok(hash) => locked_on_conflict(|is_locked| self.write(new, Some(&hash), client, is_locked)).await,
            Err(error) => Err(error),
        };
        let wrong_password = matches!(outcome, Ok(Outcome::TooSoon { wrong_password: true, .. }));
        match attempt {
            Some(attempt) => attempt.settle(wrong_password).await,
            // The code that is fresh was issued while we hashed.
            None if wrong_password => {
                let left = self.resend_after();
                self.count_password(new, &record, client, left).await?.settle(true).await;
            }
            None => {}
        }
        outcome
    }

    async fn count_password(
        &self,
        new: &NewRegistration,
        record: &DestinationRecord,
        client: &Client,
        left: Duration,
    ) -> Result<PasswordAttempt, Error> {
        let counted = self.rate_limits.count_password(&new.destination.key(), record.lifted_at, client).await;
        counted.map_err(|error| match error {
            Error::TooManyAttempts(exceeded) if exceeded.policy == IDENTIFIER_FAILURES => {
                Error::TooManyAttempts(ExceededLimit { retry_after: left, ..exceeded })
            }
            other => other,
        })
    }

    async fn hash(
        &self,
        new: &NewRegistration,
        password: &Password,
        pending: &[(Registration, i64)],
        client: &Client,
    ) -> Result<String, Error> {
        let known = pending.iter().find_map(|(pending, _)| pending.password_hash());
        let params = known.and_then(HashParams::of);
        let params = params.unwrap_or_else(|| self.passwords.pending_params(&new.destination.key()));
        let hashing = async { Ok(self.hasher.hash(password, params, client).await?) };
        self.rate_limits.count_hash(client, hashing).await
    }

    async fn write(
        &self,
        new: &NewRegistration,
        password_hash: Option<&str>,
        client: &Client,
        is_locked: bool,
    ) -> Result<Outcome, Error> {
        let way = Way::new(Purpose::Registration, &new.destination);
        let read = async |reader: &mut Reader, now| self.state(reader, new, now).await;
        let (locked, state, now) = self.issuer.read_pending(way, is_locked, read).await?;
        let PendingState { destination: mut record, taken, pending } = state;
        let holder = self.issuer.registration_holder(taken)?;
        // Expired ones go, so that their passwords may register anew.
        let (live, expired): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(pending, _)| pending.expires_at > now);
        let is_same =
            |(pending, _): &(Registration, i64)| password_hash.is_some() && pending.password_hash() == password_hash;
        let existing = live.into_iter().find(is_same);
        let is_fresh = |(pending, _): &&(Registration, i64)| pending.last_code_at.plus(self.resend_after()) > now;
        if let Some((same, _)) = existing.as_ref().filter(is_fresh) {
            drop(locked); // one connection at a time
            return self.unchanged(same, &record, now).await;
        }
        if let Err(error) = self.issuer.check_cooldown(&record, Purpose::Registration, Caller::Stranger, now) {
            let wrong_password = password_hash.is_some() && existing.is_none() && self.fresh_for(&record).is_some();
            return Ok(Outcome::TooSoon { error, wrong_password });
        }
        let mut tx = self.issuer.begun(locked).await?;
        if !expired.is_empty() {
            tx.delete_expired(&new.destination, now)?;
        }
        let generation = existing.as_ref().map_or(1, |(_, generation)| generation + 1);
        let registration = self.pending(new, existing.map(|(old, _)| old), password_hash, client, now);
        if generation == 1 {
            tx.insert_registration(&registration)?;
        } else {
            tx.renew_registration(&registration)?;
        }
        if holder == Holder::Phantom {
            self.notices.tell_registered(&mut tx, &mut record, &new.destination, now).await?;
        }
        let code = NewCode::registration(&registration, &new.destination, generation, holder);
        let code = code.for_app(new.app_hash.clone());
        let code = self.issuer.issue(&mut tx, &mut record, &code, client, now)?;
        let Registration { id: user_id, created_at, .. } = registration;
        let channel = new.destination.channel();
        let requested = EventKind::RegistrationRequested { user_id, channel };
        self.event_log.append(&mut tx, [requested], Origin::client(client), now).await?;
        self.event_log.commit(tx).await?;
        Ok(Outcome::Issued { user_id, created_at, code })
    }

    /// All that it is judged by. Where accounts are concealed, nothing but the destination matters before its proof.
    async fn state(
        &self,
        reader: &mut Reader,
        new: &NewRegistration,
        now: Timestamp,
    ) -> Result<PendingState, StoreError> {
        let way = Way::new(Purpose::Registration, &new.destination);
        if self.issuer.settings.conceal_accounts {
            return reader.state_at_destination(way, &new.destination.clone().into(), now).await;
        }
        reader.state_at_destination(way, &new.identifiers, now).await
    }

    fn pending(
        &self,
        new: &NewRegistration,
        existing: Option<Registration>,
        password_hash: Option<&str>,
        client: &Client,
        now: Timestamp,
    ) -> Registration {
        let random = &self.core.random;
        let (id, verification_id, created_at) = existing.map_or_else(
            || (random.id(now), random.secret_id(), now),
            |old| (old.id, old.verification_id, old.created_at),
        );
        Registration {
            id,
            verification_id,
            identifiers: new.identifiers.clone(),
            name: new.name.as_ref().map(|name| name.as_str().to_owned()),
            locale: new.locale.as_ref().map(|locale| locale.as_str().to_owned()),
            data: new.data.clone(),
            password_hash: password_hash.map(str::to_owned),
            client_hash: client.network_hash(),
            last_code_at: now,
            expires_at: now.plus(self.ttl),
            created_at,
        }
    }

    async fn unchanged(
        &self,
        registration: &Registration,
        record: &DestinationRecord,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        let challenge = self.core.store.read().await?.challenge(registration.verification_id, now).await?;
        let challenge = challenge.ok_or(Error::Conflict)?;
        let code = self.issuer.issued(&challenge.verification, record, now);
        let Registration { id: user_id, created_at, .. } = *registration;
        Ok(Outcome::Unchanged(PendingRegistration { user_id, created_at, code }))
    }

    fn resend_after(&self) -> Duration {
        self.issuer.settings.resend_after
    }

    /// How long the destination's last code stays fresh, if it is.
    fn fresh_for(&self, record: &DestinationRecord) -> Option<Duration> {
        let last = record.history.last_send(Purpose::Registration)?;
        let left = last.plus(self.resend_after()).after(self.core.now());
        (left > Duration::ZERO).then_some(left)
    }
}
