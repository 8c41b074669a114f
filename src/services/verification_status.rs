use std::time::Duration;

use uuid::Uuid;

use crate::{
    codes::CodeKey,
    crypto::{hex, sha256},
    domain::{DAY, DeliveryState, IssuedCode, Timestamp, Windows},
    engine::Issuer,
    error::Error,
    store::{Challenge, Store},
};

/// Tells who has the id how far a verification is.
#[derive(Clone)]
pub struct StatusService {
    pub store: Store,
    pub issuer: Issuer,
    pub budget: Windows,
}

#[derive(Debug, Clone)]
pub struct VerificationStatus {
    pub code: IssuedCode,
    pub state: DeliveryState,
    pub changed_at: Timestamp,
    /// `None` while the code store can't be asked.
    pub attempts_left: Option<u32>,
}

impl StatusService {
    /// # Errors
    ///
    /// [`Error::UnknownVerification`] for an id that never was, or ended a day ago.
    pub async fn status(&self, id: Uuid) -> Result<VerificationStatus, Error> {
        let now = self.issuer.clock.now();
        let challenge = self.store.read().await?.challenge(id, now).await?;
        let challenge = challenge.filter(|it| it.verification.expires_at.plus(DAY) > now);
        let challenge = challenge.ok_or(Error::UnknownVerification)?;
        let verification = &challenge.verification;
        let state = challenge.state(now);
        let mut code = self.issuer.issued(verification, &challenge.destination, now);
        if !challenge.is_live(now) {
            code.expires_in = Duration::ZERO;
        }
        let changed_at = match state {
            DeliveryState::Expired if now >= verification.expires_at => verification.expires_at,
            DeliveryState::Sent if verification.purpose.is_asked_by_strangers() => verification.issued_at,
            _ => verification.changed_at,
        };
        Ok(VerificationStatus { attempts_left: self.attempts_left(&challenge, now).await, code, state, changed_at })
    }

    async fn attempts_left(&self, challenge: &Challenge, now: Timestamp) -> Option<u32> {
        if !challenge.is_live(now) {
            return Some(0);
        }
        let verification = &challenge.verification;
        let (id, issue) = (verification.id, verification.issue);
        let destination = hex(&sha256(verification.destination.key().as_bytes()));
        let key = CodeKey { destination, purpose: verification.purpose, verification: id };
        let tries = self.issuer.codes.tries_left(&key, issue, now).await.ok()?;

        let guesses = challenge.destination.history.guesses(verification.purpose);
        let mut times: Vec<i64> = guesses.iter().map(crate::domain::Guess::at).collect();
        times.sort_unstable();
        if self.budget.closed(&times, now.millis()).is_none() {
            return Some(tries);
        }
        let extra_gone = guesses.iter().any(|guess| guess.is_extra_of(id, issue));
        Some(if extra_gone { 0 } else { tries.min(1) })
    }
}
