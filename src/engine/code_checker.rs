//! Checking codes, and letting a right one be used once.

use std::sync::Arc;

use super::{
    CodeIssuer, CodeSettings, Core, RateLimits, VerificationRef, code_issuer::log_verification, once_on_conflict,
};
use crate::{
    codes::{Attempt, AttemptJudge, Claim, CodeKey, LimitedVerdict, Verdict},
    domain::{
        Address, AuditKind, AuditLine, Challenge, Client, LoginId, OneTimeCode, Origin, Purpose, Quota, Timestamp,
        Verification, Way, hex,
    },
    error::{Error, ExceededLimit},
    metrics,
    store::Reader,
};

/// Checks codes, and lets a right one be used once.
#[derive(Clone)]
pub struct CodeChecker {
    pub(crate) core: Core,
    pub(crate) issuer: CodeIssuer,
    pub(crate) judge: AttemptJudge,
    pub(crate) rate_limits: RateLimits,
}

/// A code that a caller presents, and what for.
#[derive(Debug, Clone)]
pub struct CodeSubmission {
    /// The presented code.
    pub code: OneTimeCode,
    /// The verification that is meant.
    pub reference: VerificationRef,
    /// `None`: the purpose of the verification with the id, registration or login.
    pub purpose: Option<Purpose>,
    /// The login id that a login code was requested with, beside the address.
    pub login_id: Option<LoginId>,
    /// Where the code's account was not used for long, the person is another one, and wants an own.
    pub new_account: bool,
}

/// The verification that an attempt is about, and how the caller came by it.
pub(crate) struct Subject {
    pub(crate) purpose: Purpose,
    /// `None` if nothing matches.
    pub(crate) challenge: Option<Challenge>,
    /// The destination that the caller named, if it named no id.
    named: Option<NamedDestination>,
    /// How many digits the code has, if that is known.
    digits: Option<u32>,
    with_id: bool,
}

/// An address, and the login id beside it.
struct NamedDestination {
    address: Address,
    login_id_hash: Option<Vec<u8>>,
}

impl Subject {
    /// The verification of a caller who has already authenticated.
    pub(crate) fn owned(purpose: Purpose, challenge: Option<Challenge>) -> Self {
        let digits = challenge.as_ref().map(|challenge| challenge.verification.digits);
        Self { purpose, challenge, named: None, digits, with_id: true }
    }

    /// A verification of this purpose that an address alone means.
    pub(crate) fn named(purpose: Purpose, challenge: Option<Challenge>, address: &Address) -> Self {
        let digits = challenge.as_ref().map(|challenge| challenge.verification.digits);
        let named = Some(NamedDestination { address: address.clone(), login_id_hash: None });
        Self { purpose, challenge, named, digits, with_id: false }
    }

    fn channel(&self) -> &'static str {
        self.challenge.as_ref().map_or("none", |challenge| challenge.verification.destination.channel().as_str())
    }
}

fn wrong_code_line(challenge: &Challenge, client: &Client, now: Timestamp) -> AuditLine {
    let Verification { id, purpose, destination, holder, .. } = &challenge.verification;
    AuditLine {
        user_id: holder.account(),
        verification_id: Some(*id),
        ..AuditLine::new(AuditKind::WrongCode, purpose.as_str(), Origin::client(client).about(destination), now)
    }
}

/// The outcome of an attempt, for the metrics.
fn outcome_name<T>(outcome: &Result<T, Error>) -> &'static str {
    match outcome {
        Ok(_) => "verified",
        Err(Error::InvalidCode) => "wrong",
        Err(_) => "refused",
    }
}

impl CodeChecker {
    /// Finds the verification that is meant: by its id, otherwise the one requested last with the same
    /// identifiers.
    pub(crate) async fn find(&self, submission: &CodeSubmission, client: &Client) -> Result<Subject, Error> {
        let now = self.core.now();
        let VerificationRef { id, address } = &submission.reference;
        let mut reader = self.core.store.read().await?;
        let by_id = match id {
            Some(id) => reader.challenge(*id, now).await?,
            None => None,
        };
        let purpose_of_id = by_id.as_ref().map(|challenge| challenge.verification.purpose);
        let purpose = submission.purpose.or(purpose_of_id.filter(|purpose| *purpose == Purpose::Login));
        let purpose = purpose.unwrap_or(Purpose::Registration);
        let policy_digits = address.as_ref().map(|address| self.named_digits(purpose, address));
        let digits = by_id.as_ref().map(|challenge| challenge.verification.digits).or(policy_digits);
        let challenge = match (by_id, address) {
            (Some(challenge), _) if challenge.verification.purpose != purpose => None,
            (Some(challenge), None) => Some(challenge),
            // An id beside identifiers that are not its own is no code.
            (Some(challenge), Some(address)) => {
                let login_id = submission.login_id.as_ref();
                let matches = self.matches(&mut reader, &challenge.verification, address, login_id, now).await?;
                matches.then_some(challenge)
            }
            (None, Some(address)) if id.is_none() => {
                self.newest(&mut reader, purpose, address, submission.login_id.as_ref(), client).await?
            }
            (None, _) => None,
        };
        let named = address.clone().filter(|_| id.is_none()).map(|address| NamedDestination {
            address,
            login_id_hash: submission.login_id.as_ref().map(LoginId::hash),
        });
        Ok(Subject { purpose, challenge, named, digits, with_id: id.is_some() })
    }

    /// Finds the one verification that an address alone means, whether it registers or logs in: the registration that
    /// the caller's own network has, otherwise the newest login code, otherwise a lone registration from elsewhere. A
    /// code that has ended is not meant while another lives.
    pub(crate) async fn find_by_address(&self, address: &Address, client: &Client) -> Result<Subject, Error> {
        let now = self.core.now();
        let mut reader = self.core.store.read().await?;
        let pending = match VerificationRef::pending_at(&mut reader, address, &self.issuer, client).await {
            Err(Error::VerificationIdRequired) => None,
            pending => pending?,
        };
        let is_own = pending.as_ref().is_some_and(|pending| pending.client_hash == client.network_hash());
        let registration = match &pending {
            Some(pending) => reader.challenge(pending.verification_id, now).await?,
            None => None,
        };
        let login = match self.newest(&mut reader, Purpose::Login, address, None, client).await {
            Err(Error::VerificationIdRequired) => None,
            login => login?,
        };
        let candidates = if is_own { [registration, login] } else { [login, registration] };
        let challenge = candidates.into_iter().flatten().find(|challenge| self.is_judged(challenge, now));
        let purpose = challenge.as_ref().map_or(Purpose::Registration, |challenge| challenge.verification.purpose);
        Ok(Subject::named(purpose, challenge, address))
    }

    /// Finds the newest verification of a purpose that strangers may ask for, by the address alone.
    pub(crate) async fn find_newest(
        &self,
        purpose: Purpose,
        address: &Address,
        client: &Client,
    ) -> Result<Subject, Error> {
        let mut reader = self.core.store.read().await?;
        let challenge = self.newest(&mut reader, purpose, address, None, client).await?;
        Ok(Subject::named(purpose, challenge, address))
    }

    /// The digits of a code that an address alone names: of its policy, or of a test identity.
    fn named_digits(&self, purpose: Purpose, address: &Address) -> u32 {
        let CodeSettings { test_identities, .. } = &self.issuer.settings;
        let known = test_identities.code(address, self.core.now()).map(OneTimeCode::digits);
        known.unwrap_or_else(|| self.issuer.settings.policy(purpose, address.channel()).digits)
    }

    /// Whether the verification was requested with these identifiers, or its registration has the address.
    async fn matches(
        &self,
        reader: &mut Reader,
        verification: &Verification,
        address: &Address,
        login_id: Option<&LoginId>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let same_destination = verification.destination.key() == address.key();
        if same_destination && verification.login_id_hash == login_id.map(LoginId::hash) {
            return Ok(true);
        }
        if verification.purpose != Purpose::Registration {
            return Ok(false);
        }
        let registration = reader.registration(verification.id, now).await?;
        Ok(registration.is_some_and(|registration| registration.identifiers.contains(address)))
    }

    /// The verification that an address without an id means.
    async fn newest(
        &self,
        reader: &mut Reader,
        purpose: Purpose,
        address: &Address,
        login_id: Option<&LoginId>,
        client: &Client,
    ) -> Result<Option<Challenge>, Error> {
        if self.issuer.settings.policy(purpose, address.channel()).needs_id() {
            return Err(Error::VerificationIdRequired);
        }
        let now = self.core.now();
        if purpose == Purpose::Registration
            && let Some(pending) = VerificationRef::pending_at(reader, address, &self.issuer, client).await?
        {
            return Ok(reader.challenge(pending.verification_id, now).await?);
        }
        Ok(reader.newest_challenge(address, login_id.map(LoginId::hash).as_deref(), purpose, now).await?)
    }

    /// Judges the code, then uses it in one transaction. If that fails, whatever the reason, the code is
    /// released and still valid within its life.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for a code that is wrong, expired, used or was never requested: one answer.
    /// [`Error::TooManyAttempts`] once its tries or a budget are spent.
    pub(crate) async fn redeem<T, F>(
        &self,
        code: &OneTimeCode,
        subject: Subject,
        client: &Client,
        use_it: impl Fn(Verification) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if let Some(digits) = subject.digits.filter(|digits| !code.has_digits(*digits)) {
            return Err(Error::field(OneTimeCode::wrong_length(digits))); // and no attempt
        }
        let (purpose, channel) = (subject.purpose, subject.channel());
        let destination = subject.challenge.as_ref().map(|challenge| {
            log_verification(challenge.verification.id);
            challenge.verification.destination.clone()
        });
        let outcome = self.redeem_counted(code, subject, client, use_it).await;
        if let Some(destination) = destination {
            self.rate_limits.deferred.note(&outcome, &destination, client, self.core.now());
        }
        metrics::code(purpose.as_str(), channel, outcome_name(&outcome));
        outcome
    }

    async fn redeem_counted<T, F>(
        &self,
        code: &OneTimeCode,
        subject: Subject,
        client: &Client,
        use_it: impl Fn(Verification) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let now = self.core.now();
        let Some(challenge) = subject.challenge.filter(|challenge| self.is_judged(challenge, now)) else {
            let reservation = self.rate_limits.count_attempt(client).await?;
            let counted = self.count_at_nobody(subject.purpose, subject.named).await;
            if counted.is_err() {
                reservation.cancel().await;
            }
            return Err(counted.err().unwrap_or(Error::InvalidCode));
        };
        let claim = self.judge(code, &challenge, subject.with_id, client, now).await?;
        let outcome = once_on_conflict(|| use_it(challenge.verification.clone())).await;
        if outcome.is_err() {
            self.release(&claim).await;
        } else {
            let Verification { purpose, destination, issued_at, .. } = &challenge.verification;
            self.issuer.guard.verified(challenge.verification.reach(), destination, *issued_at, now);
            self.issuer.length.judged(*purpose, true, now);
        }
        outcome
    }

    /// Whether attempts at the code are judged. Where accounts are concealed they are to its end: that its registration
    /// is gone would tell that another was proven.
    fn is_judged(&self, challenge: &Challenge, now: Timestamp) -> bool {
        let is_concealed = self.issuer.settings.conceal_accounts;
        if is_concealed { !challenge.concealed_state(now).is_final() } else { challenge.is_live(now) }
    }

    /// Counts an attempt without an id where no code lives: it ends in the same refusal as where one does, which
    /// tells nobody whether a code is on its way.
    async fn count_at_nobody(&self, purpose: Purpose, named: Option<NamedDestination>) -> Result<(), Error> {
        let Some(NamedDestination { address, login_id_hash }) = named else { return Ok(()) };
        let way = Way { purpose, destination: &address, login_id_hash: login_id_hash.as_deref() };
        let policy = self.issuer.settings.policy(purpose, address.channel());
        self.rate_limits.count_attempt_at_nobody(way, policy).await
    }

    async fn release(&self, claim: &Claim) {
        if let Err(error) = self.issuer.codes.release(claim).await {
            tracing::warn!(%error, "a code stays claimed for a few seconds");
        }
    }

    /// The claim on a code that is right.
    async fn judge(
        &self,
        code: &OneTimeCode,
        challenge: &Challenge,
        with_id: bool,
        client: &Client,
        now: Timestamp,
    ) -> Result<Claim, Error> {
        let attempt = self.attempt(code, challenge, with_id);
        let within = self.rate_limits.attempt_of(client);
        let claim = Claim { key: attempt.key.clone(), id: attempt.claim_id.clone() };
        let verdict = match self.judge.judge(&attempt, &within, now).await {
            Ok(LimitedVerdict::Judged(verdict)) => verdict,
            Ok(LimitedVerdict::Denied(denial)) => return Err(RateLimits::attempt_denied(denial, now)),
            Err(unavailable) => {
                // It may have been judged right, and claimed, before the answer was lost.
                let codes = Arc::clone(&self.issuer.codes);
                tokio::spawn(async move { codes.release(&claim).await });
                return Err(unavailable.into());
            }
        };
        match verdict {
            Verdict::Right => Ok(claim),
            Verdict::Claimed => Err(Error::InvalidCode), // right, but another request has it
            Verdict::NoCode if with_id => Err(Error::InvalidCode),
            Verdict::NoCode => {
                let way = challenge.verification.way();
                let policy = self.issuer.settings.policy(way.purpose, way.destination.channel());
                let counted = self.rate_limits.count_attempt_at_nobody(way, policy).await;
                if counted.is_err() {
                    self.rate_limits.cancel_attempt(within).await;
                }
                Err(counted.err().unwrap_or(Error::InvalidCode))
            }
            Verdict::Wrong(attempt) => {
                self.issuer.length.judged(challenge.verification.purpose, false, now);
                let line = wrong_code_line(challenge, client, now);
                self.core.store.record_failed_attempt(challenge.verification.way(), attempt, &line).await?;
                Err(Error::InvalidCode)
            }
            Verdict::NoTries => Err(Error::TooManyAttempts(self.spent_tries(challenge, now))),
            Verdict::NoBudget(quota, allowed_at) => Err(Error::TooManyAttempts(ExceededLimit {
                policy: "destination-guesses",
                quota,
                retry_after: allowed_at.after(now),
            })),
        }
    }

    fn attempt(&self, code: &OneTimeCode, challenge: &Challenge, with_id: bool) -> Attempt {
        let Verification { id, generation, purpose, destination, .. } = &challenge.verification;
        let record_key = challenge.verification.way().record_key();
        Attempt {
            key: CodeKey { destination: record_key, purpose: *purpose, verification: *id },
            generation: *generation,
            with_id,
            allows_extra: self.issuer.settings.test_identities.code(destination, self.core.now()).is_none(),
            macs: self.core.keyring.code_macs(*purpose, destination, (*id, *generation), code),
            claim_id: hex(&self.core.random.bytes::<8>()),
            known: challenge.destination.failed_attempts(*purpose),
            budget: self.rate_limits.settings.wrong_tries_per_destination.clone(),
        }
    }

    fn spent_tries(&self, challenge: &Challenge, now: Timestamp) -> ExceededLimit {
        let Verification { tries, purpose, destination, .. } = &challenge.verification;
        let ttl = self.issuer.settings.policy(*purpose, destination.channel()).ttl;
        ExceededLimit {
            policy: "code-tries",
            quota: Quota::new(*tries, ttl),
            retry_after: self.issuer.resend_in(&challenge.destination, *purpose, now),
        }
    }
}
