//! The status of a verification.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    codes::CodeKey,
    domain::{Challenge, DAY, DeliveryState, FailedAttempt, IssuedCode, RateLimit, Timestamp, Verification},
    engine::{CodeIssuer, Core, VerificationWatch},
    error::Error,
};

/// Reports how far a verification has come.
#[derive(Clone)]
pub struct StatusService {
    pub(crate) core: Core,
    pub(crate) issuer: CodeIssuer,
    /// The destination's limit of failed attempts.
    pub(crate) budget: RateLimit,
    pub(crate) watch: VerificationWatch,
}

/// How long a client waits, and for what.
#[derive(Debug, Clone)]
pub struct Wait {
    /// At the latest after this it is answered.
    pub at_most: Duration,
    /// The name of the state that it knows; by default that of the first look.
    pub known: Option<String>,
}

/// The status of a verification.
#[derive(Debug, Clone)]
pub struct VerificationStatus {
    /// Its last code.
    pub code: IssuedCode,
    /// How far it has come.
    pub state: DeliveryState,
    /// When the state changed.
    pub changed_at: Timestamp,
    /// The wrong attempts left to callers that present the id; `None` while the code store is down.
    pub attempts_left: Option<u32>,
}

impl StatusService {
    /// Returns the status.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownVerification`] for an id that never existed, or ended a day ago.
    pub async fn status(&self, id: Uuid) -> Result<VerificationStatus, Error> {
        let challenge = self.challenge(id).await?;
        Ok(self.status_of(&challenge).await)
    }

    /// Returns the status once it is another than the client knows or can't change any more, at the latest after
    /// the wait.
    ///
    /// # Errors
    ///
    /// As [`status`](Self::status).
    pub async fn wait(&self, id: Uuid, wait: Wait) -> Result<VerificationStatus, Error> {
        let deadline = Instant::now() + wait.at_most;
        // Boxed: who waits keeps no room for the queries.
        let mut challenge = Box::pin(self.challenge(id)).await?;
        let known = wait.known.unwrap_or_else(|| self.state(&challenge, self.core.now()).as_str().to_owned());
        let is_news = |challenge: &Challenge, now| {
            let state = self.state(challenge, now);
            state.is_final() || state.as_str() != known
        };
        if let (false, Some(mut waiting)) = (is_news(&challenge, self.core.now()), self.watch.join(&challenge)) {
            while waiting.goes_on() && !is_news(&challenge, self.core.now()) && Instant::now() < deadline {
                let ends_in = challenge.verification.expires_at.after(self.core.now());
                let until = deadline.min(Instant::now() + ends_in);
                if tokio::time::timeout_at(until, waiting.change()).await.is_ok() {
                    challenge = Box::pin(self.challenge(id)).await?;
                }
            }
        }
        Ok(Box::pin(self.status_of(&challenge)).await)
    }

    async fn challenge(&self, id: Uuid) -> Result<Challenge, Error> {
        let now = self.core.now();
        let challenge = self.core.store.read().await?.challenge(id, now).await?;
        let kept = challenge.filter(|challenge| challenge.verification.expires_at.plus(DAY) > now);
        kept.ok_or(Error::UnknownVerification)
    }

    async fn status_of(&self, challenge: &Challenge) -> VerificationStatus {
        let now = self.core.now();
        let mut code = self.issuer.issued(&challenge.verification, &challenge.destination, now);
        let state = self.state(challenge, now);
        if state.is_final() {
            code.expires_in = Duration::ZERO;
        }
        let is_concealed = self.issuer.settings.conceal_accounts;
        VerificationStatus {
            code,
            state,
            changed_at: if is_concealed { challenge.concealed_changed_at(now) } else { challenge.changed_at(now) },
            attempts_left: self.attempts_left(challenge, now).await,
        }
    }

    fn state(&self, challenge: &Challenge, now: Timestamp) -> DeliveryState {
        if self.issuer.settings.conceal_accounts { challenge.concealed_state(now) } else { challenge.state(now) }
    }

    async fn attempts_left(&self, challenge: &Challenge, now: Timestamp) -> Option<u32> {
        if self.state(challenge, now).is_final() {
            return Some(0);
        }
        let Verification { id, generation, purpose, .. } = &challenge.verification;
        let destination = challenge.verification.way().record_key();
        let key = CodeKey { destination, purpose: *purpose, verification: *id };
        let tries = self.issuer.codes.tries_left(&key, *generation, now).await.ok()?;

        let attempts = challenge.destination.history.failed_attempts(*purpose);
        let mut times: Vec<i64> = attempts.iter().map(FailedAttempt::at).collect();
        times.sort_unstable();
        if self.budget.next_allowed(&times, now.millis()).is_none() {
            return Some(tries);
        }
        let extra_is_spent = attempts.iter().any(|attempt| attempt.is_extra_of(*id, *generation));
        Some(if extra_is_spent { 0 } else { tries.min(1) })
    }
}
