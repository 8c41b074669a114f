use uuid::Uuid;

use super::{
    BasicCredentials, Credentials, Issuer, Resend, ResendService, Sessions, Throttle, WhichRegistration,
    credentials::Owner, registration::run_twice,
};
use crate::{
    codes::{Attempt, Claim, CodeKey, Judged},
    crypto::{hex, sha256},
    domain::{Address, Client, GuessHistory, OneTimeCode, OpenedSession, Purpose, Timestamp, User},
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

/// A challenge found, and how whoever answers it came by it.
struct Found {
    challenge: Challenge,
    with_id: bool,
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
        check_digits(&proof.code, found.as_ref(), self.expected_digits(&proof.which))?;
        let (user, session, now) = self.prove(&proof.code, found, client, Some(&self.sessions)).await?;
        let session = session.ok_or_else(|| Error::Internal(anyhow::anyhow!("a session was asked for")))?;
        self.sessions.tokens_of(user, &session, now)
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
        let found = challenge.map(|challenge| Found { challenge, with_id: true });
        check_digits(code, found.as_ref(), None)?;
        self.prove(code, found, client, None).await.map(|(user, ..)| user)
    }

    /// Sends a new code for the registration that has this password.
    pub async fn resend(&self, basic: &BasicCredentials, client: &Client) -> Result<Resend, Error> {
        let Owner::Pending(registration) = self.credentials.owner(basic, client).await? else {
            return Err(Error::InvalidCredentials);
        };
        let which = WhichRegistration { address: None, id: Some(registration.verification_id) };
        self.resending.resend(which, client).await
    }

    async fn find(&self, which: &WhichRegistration, client: &Client) -> Result<Option<Found>, Error> {
        let now = self.issuer.clock.now();
        let mut reading = self.store.read().await?;
        let challenge = match (which.id, &which.address) {
            (Some(id), address) => {
                let challenge = reading.challenge(id, now).await?;
                match (challenge, address) {
                    (Some(challenge), Some(address)) if challenge.verification.destination.key() != address.key() => {
                        let registration = reading.registration(id, now).await?;
                        registration.is_some_and(|it| it.names(address)).then_some(challenge)
                    }
                    (challenge, _) => challenge,
                }
            }
            (None, Some(address)) => {
                match WhichRegistration::pending_at(&mut reading, address, &self.issuer, client).await? {
                    Some(registration) => reading.challenge(registration.verification_id, now).await?,
                    None => reading.newest_phantom(&address.key(), Purpose::Registration, now).await?,
                }
            }
            (None, None) => None,
        };
        Ok(challenge.map(|challenge| Found { challenge, with_id: which.id.is_some() }))
    }

    /// Judges the code, then makes the account in one transaction.
    async fn prove(
        &self,
        code: &OneTimeCode,
        found: Option<Found>,
        client: &Client,
        sessions: Option<&Sessions>,
    ) -> Result<(User, Option<crate::domain::Session>, Timestamp), Error> {
        let counted = self.throttle.guess(client).await?;
        let now = self.issuer.clock.now();
        // Where no code lives, a guess counts for the client alone.
        let Some(Found { challenge, with_id }) = found.filter(|found| found.challenge.is_live(now)) else {
            return Err(Error::InvalidCode);
        };
        let id = challenge.verification.id;
        let claim = match self.judge(code, &challenge, with_id, now).await {
            Ok(claim) => claim,
            Err(Error::InvalidCode) => return Err(Error::InvalidCode),
            Err(error) => {
                counted.give_back().await;
                return Err(error);
            }
        };
        let outcome = match claim {
            Some(claim) => {
                let outcome = run_twice(|| self.make_account(id, client, sessions)).await;
                if outcome.is_err() {
                    // Nothing was made of it: the code stays good.
                    if let Err(error) = self.issuer.codes.release(&claim).await {
                        tracing::warn!(%error, "a code stays marked for a few seconds");
                    }
                }
                outcome
            }
            None => Err(Error::InvalidCode), // right, but another request is at it
        };
        let forgive = async {
            if let Ok((user, ..)) = &outcome {
                self.forgive(user).await;
            }
        };
        tokio::join!(counted.give_back(), forgive);
        outcome
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
        match self.issuer.codes.judge(&attempt, now).await? {
            Judged::Right => Ok(Some(Claim { key: attempt.key, mark: attempt.mark })),
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
            Judged::NoBudget(opens) => {
                let window = attempt.budget.iter().next();
                Err(Error::TooManyAttempts(Refused {
                    policy: "destination-guesses",
                    quota: window.map_or(0, |window| window.count),
                    window: attempt.budget.longest(),
                    retry_after: opens.after(now),
                }))
            }
        }
    }

    async fn make_account(
        &self,
        verification: Uuid,
        client: &Client,
        sessions: Option<&Sessions>,
    ) -> Result<(User, Option<crate::domain::Session>, Timestamp), Error> {
        let now = self.issuer.clock.now();
        let mut tx = self.store.begin().await?;
        let activation = tx.activation(verification, now).await?.ok_or(Error::InvalidCode)?;
        if let Some(taken) = activation.taken {
            return Err(Error::taken(taken));
        }
        let destination = activation.registration.destination.key();
        let user = User::proven(activation.registration, now);
        if let Err(error) = tx.insert_user(&user).await {
            return Err(self.lost_race(error, verification, now).await);
        }
        // Ends all that is pending for the destination; a loser finds its own gone.
        let own_ended = tx.end_registrations(&destination).await?.contains(&user.id);
        if !own_ended || !tx.mark_verified(verification, now).await? {
            return Err(Error::InvalidCode);
        }
        let session = match sessions {
            Some(sessions) => Some(sessions.open(&mut tx, &user, client, now).await?),
            None => None,
        };
        tx.commit().await?;
        Ok((user, session, now))
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

    /// Who came in has no wrong passwords any more.
    async fn forgive(&self, user: &User) {
        let email = user.email.clone().filter(|_| user.email_verified).map(Address::Email);
        let mobile = user.mobile.clone().filter(|_| user.mobile_verified).map(Address::Mobile);
        for address in [email, mobile].into_iter().flatten() {
            self.throttle.forgive(&address.key()).await;
        }
    }

    fn expected_digits(&self, which: &WhichRegistration) -> Option<u32> {
        let address = which.address.as_ref()?;
        Some(self.issuer.settings.policy(Purpose::Registration, address.channel()).digits)
    }
}

/// Digits in a number that the code can't have are no guess.
fn check_digits(code: &OneTimeCode, found: Option<&Found>, else_expected: Option<u32>) -> Result<(), Error> {
    let expected = found.map(|found| found.challenge.verification.digits).or(else_expected);
    if expected.is_some_and(|digits| !code.has_digits(digits)) {
        return Err(Error::field(OneTimeCode::wrong_form()));
    }
    Ok(())
}
