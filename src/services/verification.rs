use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    BasicCredentials, Credentials, Issuer, Resend, ResendService, Sessions, Throttle, WhichRegistration,
    credentials::Owner, resending::run_twice,
};
use crate::{
    codes::{Attempt, Claim, CodeKey, Judged},
    crypto::{hex, sha256},
    domain::{Address, Client, GuessHistory, OneTimeCode, OpenedSession, Purpose, Session, Timestamp, User},
    error::{Error, Refused},
    store::{Challenge, Store, StoreError},
};

/// Proves that somebody holds what they registered, and makes the account.
#[derive(Clone)]
pub struct VerificationService {
    pub store: Store,
    pub issuer: Issuer,
    pub throttle: Throttle,
    pub sessions: Sessions,
    pub credentials: Credentials,
    pub resending: ResendService,
}

/// A code, and for what.
#[derive(Debug, Clone)]
pub struct Proof {
    pub code: OneTimeCode,
    pub which: WhichRegistration,
}

/// What a guess is about, and how whoever guesses came by it.
struct Found {
    /// `None` where nothing fits: the guess counts for the client alone.
    challenge: Option<Challenge>,
    /// How many digits its code has, where that is known.
    digits: Option<u32>,
    with_id: bool,
}

/// The account just made, its session if one was asked for, and the moment.
struct Made {
    user: User,
    session: Option<Session>,
    at: Timestamp,
}

impl VerificationService {
    /// Makes the account that was registered, and opens its first session.
    ///
    /// If the database fails after the code was judged right, the code is released and still good
    /// within its life.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for a code that is wrong, expired, used or was never asked for: one
    /// answer, so that it does not tell who is registered. [`Error::TooManyAttempts`] once its tries
    /// or a budget are spent. [`Error::AccountExists`] when another has proven an address meanwhile.
    pub async fn verify(&self, proof: &Proof, client: &Client) -> Result<OpenedSession, Error> {
        let found = self.find(&proof.which, client).await?;
        let made = self.prove(&proof.code, found, client, true).await?;
        if let Some(address) = &proof.which.address {
            self.throttle.forgive(&address.key()).await;
        }
        match made.session {
            Some(session) => self.sessions.tokens_of(made.user, &session, made.at),
            None => Err(Error::Internal(anyhow::anyhow!("the session was not opened"))),
        }
    }

    /// Makes the account by the password it was registered with and its code.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify); [`Error::InvalidCredentials`] for a wrong password.
    pub async fn activate(&self, basic: &BasicCredentials, code: &OneTimeCode, client: &Client) -> Result<User, Error> {
        let Owner::Pending(registration) = self.credentials.owner(basic, client).await? else {
            return Err(Error::InvalidCode); // active already
        };
        let id = registration.verification_id;
        let challenge = self.store.read().await?.challenge(id, self.issuer.clock.now()).await?;
        let digits = challenge.as_ref().map(|challenge| challenge.verification.digits);
        let found = Found { challenge, digits, with_id: true };
        let made = self.prove(code, found, client, false).await?;
        self.throttle.forgive(&basic.counted_as()).await;
        Ok(made.user)
    }

    /// Sends a new code for the registration that has this password.
    pub async fn resend(&self, basic: &BasicCredentials, client: &Client) -> Result<Resend, Error> {
        let Owner::Pending(registration) = self.credentials.owner(basic, client).await? else {
            return Err(Error::InvalidCredentials);
        };
        let which = WhichRegistration { address: None, id: Some(registration.verification_id) };
        self.resending.resend(which, client).await.map_err(|error| match error {
            Error::UnknownVerification => Error::InvalidCredentials, // proven meanwhile
            other => other,
        })
    }

    async fn find(&self, which: &WhichRegistration, client: &Client) -> Result<Found, Error> {
        let (now, with_id) = (self.issuer.clock.now(), which.id.is_some());
        let mut reading = self.store.read().await?;
        let mut challenge = match (which.id, &which.address) {
            (Some(id), _) => reading.challenge(id, now).await?,
            (None, Some(address)) => {
                match WhichRegistration::pending_at(&mut reading, address, &self.issuer, client).await? {
                    Some(registration) => reading.challenge(registration.verification_id, now).await?,
                    None => reading.newest_phantom(&address.key(), Purpose::Registration, now).await?,
                }
            }
            (None, None) => None,
        };
        let policy = |address: &Address| self.issuer.settings.policy(Purpose::Registration, address.channel()).digits;
        let digits = challenge.as_ref().map(|found| found.verification.digits).or(which.address.as_ref().map(policy));
        // An id beside an address that is not its own is no code.
        if let (Some(id), Some(address)) = (which.id, &which.address)
            && challenge.as_ref().is_some_and(|found| found.verification.destination.key() != address.key())
            && !reading.registration(id, now).await?.is_some_and(|registration| registration.names(address))
        {
            challenge = None;
        }
        Ok(Found { challenge, digits, with_id })
    }

    /// Judges the code, then makes the account in one transaction.
    async fn prove(&self, code: &OneTimeCode, found: Found, client: &Client, open: bool) -> Result<Made, Error> {
        if found.digits.is_some_and(|digits| !code.has_digits(digits)) {
            return Err(Error::field(OneTimeCode::wrong_form())); // and no guess
        }
        let counted = self.throttle.guess(client).await?;
        let now = self.issuer.clock.now();
        let Some(challenge) = found.challenge.filter(|challenge| challenge.is_live(now)) else {
            return Err(Error::InvalidCode);
        };
        let id = challenge.verification.id;
        let claim = match self.judge(code, &challenge, found.with_id, now).await {
            Ok(claim) => claim,
            Err(Error::InvalidCode) => return Err(Error::InvalidCode),
            Err(error) => {
                counted.give_back().await;
                return Err(error);
            }
        };
        let outcome = match claim {
            Some(claim) => {
                let outcome = run_twice(|| self.make_account(id, client, open)).await;
                if outcome.is_err() {
                    self.release(&claim).await; // nothing was made of it: the code stays good
                }
                outcome
            }
            None => Err(Error::InvalidCode), // right, but another request is at it
        };
        let forgive = async {
            if let Ok(made) = &outcome {
                self.throttle.forgive(&made.user.proven_address()).await;
            }
        };
        tokio::join!(counted.give_back(), forgive);
        outcome
    }

    async fn release(&self, claim: &Claim) {
        if let Err(error) = self.issuer.codes.release(claim).await {
            tracing::warn!(%error, "a code stays marked for a few seconds");
        }
    }

    /// The claim on a code that is right; `None` where somebody else has it.
    async fn judge(
        &self,
        code: &OneTimeCode,
        challenge: &Challenge,
        with_id: bool,
        now: Timestamp,
    ) -> Result<Option<Claim>, Error> {
        let verification = &challenge.verification;
        let (destination, purpose) = (verification.destination.key(), verification.purpose);
        let hash = sha256(destination.as_bytes());
        let attempt = Attempt {
            key: CodeKey { destination: hex(&hash), purpose, verification: verification.id },
            issue: verification.issue,
            with_id,
            macs: self.issuer.keyring.code_macs(purpose.as_str(), &destination, code),
            mark: hex(&self.issuer.random.bytes::<8>()),
            known: GuessHistory {
                guesses: challenge.destination.history.guesses(purpose),
                since: challenge.destination.lifted_at,
            },
            budget: self.throttle.settings().wrong_tries_per_destination.clone(),
        };
        let claim = Claim { key: attempt.key.clone(), mark: attempt.mark.clone() };
        let judged = match self.issuer.codes.judge(&attempt, now).await {
            Ok(judged) => judged,
            Err(unavailable) => {
                // It may have been judged right, and marked, before the answer was lost.
                let codes = Arc::clone(&self.issuer.codes);
                tokio::spawn(async move { codes.release(&claim).await });
                return Err(unavailable.into());
            }
        };
        match judged {
            Judged::Right => Ok(Some(claim)),
            Judged::Busy => Ok(None),
            Judged::NoCode => Err(Error::InvalidCode),
            Judged::Wrong(guess) => {
                self.store.record_wrong_guess(&hash, purpose, guess, now).await?;
                Err(Error::InvalidCode)
            }
            Judged::NoTries => Err(Error::TooManyAttempts(Refused {
                policy: "code-tries",
                quota: verification.tries,
                window: self.issuer.settings.policy(purpose, verification.destination.channel()).ttl,
                retry_after: self.issuer.resend_in(&challenge.destination, purpose, now),
            })),
            Judged::NoBudget(window, opens) => Err(Error::TooManyAttempts(Refused {
                policy: "destination-guesses",
                quota: window.count,
                window: Duration::from_millis(window.millis.unsigned_abs()),
                retry_after: opens.after(now),
            })),
        }
    }

    async fn make_account(&self, verification: Uuid, client: &Client, open: bool) -> Result<Made, Error> {
        let now = self.issuer.clock.now();
        let mut tx = self.store.begin().await?;
        let activation = tx.activation(verification, now).await?.ok_or(Error::InvalidCode)?;
        if let Some(taken) = activation.taken {
            return Err(Error::taken(taken));
        }
        let destination = activation.registration.destination.key();
        let user = User::proven(activation.registration, now);
        if let Err(error) = tx.insert_user(&user).await {
            tx.rollback().await?;
            return Err(self.lost_race(error, verification, now).await);
        }
        // Ends all that is pending for the destination; a loser finds its own gone.
        let own_ended = tx.end_registrations(&destination).await?.contains(&user.id);
        if !own_ended || !tx.mark_verified(verification, now).await? {
            return Err(Error::InvalidCode);
        }
        let session = if open { Some(self.sessions.open(&mut tx, &user, client, true, now).await?) } else { None };
        tx.commit().await?;
        Ok(Made { user, session, at: now })
    }

    /// What an account that could not be made says: somebody had a name of it first.
    async fn lost_race(&self, error: StoreError, verification: Uuid, now: Timestamp) -> Error {
        let StoreError::Taken(taken) = error else { return error.into() };
        let still_pending = async { self.store.read().await?.registration(verification, now).await };
        match still_pending.await {
            Ok(Some(_)) => Error::taken(taken),
            Ok(None) => Error::InvalidCode,
            Err(error) => error.into(),
        }
    }
}
