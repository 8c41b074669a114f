use std::{sync::Arc, time::Duration};

use super::{Issuer, Throttle, Which, retry::run_twice};
use crate::{
    codes::{Attempt, Claim, CodeKey, Judged},
    crypto::{hex, sha256},
    domain::{Address, Client, GuessHistory, LoginId, OneTimeCode, Purpose, Timestamp, Verification},
    error::{Error, Refused},
    store::{Challenge, Store},
};

/// Judges guessed codes, and lets something be made of a right one once.
#[derive(Clone)]
pub struct Guessing {
    pub store: Store,
    pub issuer: Issuer,
    pub throttle: Throttle,
}

/// A code, and for what.
#[derive(Debug, Clone)]
pub struct Proof {
    pub code: OneTimeCode,
    pub which: Which,
    /// `None`: what the id belongs to, a registration or a login.
    pub purpose: Option<Purpose>,
    /// What a code for a login was asked for with, beside the address.
    pub login_id: Option<LoginId>,
}

/// What a guess is about, and how whoever guesses came by it.
pub(crate) struct Found {
    pub(crate) purpose: Purpose,
    /// `None` where nothing fits: the guess counts for the client alone.
    pub(crate) challenge: Option<Challenge>,
    /// How many digits its code has, where that is known.
    digits: Option<u32>,
    with_id: bool,
}

impl Found {
    /// What somebody guesses at who has shown by other means that it is theirs.
    pub(crate) fn owned(purpose: Purpose, challenge: Option<Challenge>) -> Self {
        let digits = challenge.as_ref().map(|found| found.verification.digits);
        Self { purpose, challenge, digits, with_id: true }
    }
}

/// The login id that a code was asked for with, as the database keeps it.
pub(crate) fn asked_with(login_id: Option<&LoginId>) -> Option<Vec<u8>> {
    login_id.map(|login_id| sha256(login_id.key().as_bytes()))
}

impl Guessing {
    /// What the guess is about: by the id, else what was asked for last with the same identifiers.
    pub(crate) async fn find(&self, proof: &Proof, client: &Client) -> Result<Found, Error> {
        let (now, id, address) = (self.issuer.clock.now(), proof.which.id, proof.which.address.as_ref());
        let mut reading = self.store.read().await?;
        let by_id = match id {
            Some(id) => reading.challenge(id, now).await?,
            None => None,
        };
        let of_id = by_id.as_ref().map(|found| found.verification.purpose);
        let purpose = proof.purpose.or(of_id.filter(|of_id| *of_id == Purpose::Login));
        let purpose = purpose.unwrap_or(Purpose::Registration);
        let policy = |address: &Address| self.issuer.settings.policy(purpose, address.channel());
        let digits = by_id.as_ref().map(|found| found.verification.digits);
        let digits = digits.or(address.map(|address| policy(address).digits));

        let challenge = match (by_id, address) {
            (Some(found), _) if found.verification.purpose != purpose => None,
            (Some(found), None) => Some(found),
            // An id beside identifiers that are not its own is no code.
            (Some(found), Some(address)) => {
                let verification = &found.verification;
                let mut its_own = verification.destination.key() == address.key()
                    && verification.asked_with == asked_with(proof.login_id.as_ref());
                if !its_own && purpose == Purpose::Registration {
                    let registration = reading.registration(verification.id, now).await?;
                    its_own = registration.is_some_and(|registration| registration.names(address));
                }
                its_own.then_some(found)
            }
            (None, Some(address)) if id.is_none() => {
                if policy(address).needs_id() {
                    return Err(Error::VerificationIdRequired);
                }
                let pending = if purpose == Purpose::Registration {
                    Which::pending_at(&mut reading, address, &self.issuer, client).await?
                } else {
                    None
                };
                let asked_with = asked_with(proof.login_id.as_ref());
                match pending {
                    Some(registration) => reading.challenge(registration.verification_id, now).await?,
                    None => reading.newest_challenge(&address.key(), asked_with.as_deref(), purpose, now).await?,
                }
            }
            (None, _) => None,
        };
        Ok(Found { purpose, challenge, digits, with_id: id.is_some() })
    }

    /// Judges the code, then makes something of it in one transaction; if that fails, whatever the
    /// reason, the code is released and still good within its life.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for a code that is wrong, expired, used or was never asked for: one
    /// answer. [`Error::TooManyAttempts`] once its tries or a budget are spent.
    pub(crate) async fn prove<T, F>(
        &self,
        code: &OneTimeCode,
        found: Found,
        client: &Client,
        make: impl Fn(Verification) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if found.digits.is_some_and(|digits| !code.has_digits(digits)) {
            return Err(Error::field(OneTimeCode::wrong_form())); // and no guess
        }
        let counted = self.throttle.guess(client).await?;
        let now = self.issuer.clock.now();
        let Some(challenge) = found.challenge.filter(|challenge| challenge.is_live(now)) else {
            return Err(Error::InvalidCode);
        };
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
                let outcome = run_twice(|| make(challenge.verification.clone())).await;
                if outcome.is_err() {
                    self.release(&claim).await;
                }
                outcome
            }
            None => Err(Error::InvalidCode), // right, but another request is at it
        };
        counted.give_back().await;
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
}
