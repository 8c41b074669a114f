//! Verifying codes: activating accounts, and logging in.

use uuid::Uuid;

use super::{CodeLoginService, ResendService, ResentCode};
use crate::{
    domain::{
        Client, NewSession, OneTimeCode, Purpose, Reach, Session, SessionTokens, TakenIdentifier, Timestamp, User,
        Verification,
    },
    engine::{
        AccountCreator, BasicCredentials, CodeChecker, CodeSubmission, Core, NewAccount, PasswordChecker,
        PasswordOwner, RateLimits, Subject, VerificationRef,
    },
    error::Error,
    store::StoreError,
};

/// Verifies that a person holds what they registered, and creates the account.
#[derive(Clone)]
pub struct VerificationService {
    pub(crate) core: Core,
    pub(crate) checker: CodeChecker,
    pub(crate) passwords: PasswordChecker,
    pub(crate) rate_limits: RateLimits,
    pub(crate) creator: AccountCreator,
    pub(crate) resend: ResendService,
    pub(crate) code_login: CodeLoginService,
    /// Whether nothing may tell who has an account.
    pub(crate) conceal_accounts: bool,
}

impl VerificationService {
    /// Creates the account that was registered and opens its first session; or logs in, by a code for that.
    ///
    /// If the database fails after the code was judged right, the code is released and still valid within its
    /// life.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for a code that is wrong, expired, used or was never requested: one answer, so that
    /// it does not tell who is registered; [`Error::InvalidLoginCode`] for a login. [`Error::TooManyAttempts`]
    /// once its tries or a budget are spent. [`Error::AccountExists`] if another account has proven an address
    /// meanwhile.
    pub async fn verify(&self, submission: &CodeSubmission, client: &Client) -> Result<SessionTokens, Error> {
        let subject = self.checker.find(submission, client).await?;
        self.verify_subject(submission, subject, client).await
    }

    /// The same for a verification that was found by other means.
    pub(super) async fn verify_subject(
        &self,
        submission: &CodeSubmission,
        subject: Subject,
        client: &Client,
    ) -> Result<SessionTokens, Error> {
        if subject.purpose != Purpose::Registration {
            return Box::pin(self.code_login.log_in(submission, subject, client)).await;
        }
        let (user, session) = self.redeem(&submission.code, subject, client, true).await?;
        let session = session.ok_or_else(|| Error::Internal(anyhow::anyhow!("the session was not opened")))?;
        self.creator.opener.first_tokens(NewSession { user, session, is_new: true })
    }

    /// Creates the account by the password it was registered with and its code.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify); [`Error::InvalidCredentials`] for a wrong password.
    pub async fn activate(&self, basic: &BasicCredentials, code: &OneTimeCode, client: &Client) -> Result<User, Error> {
        let PasswordOwner::Registration(registration) = self.passwords.check_basic(basic, client).await? else {
            return Err(Error::InvalidCode); // active already
        };
        let now = self.core.now();
        let challenge = self.core.store.read().await?.challenge(registration.verification_id, now).await?;
        let subject = Subject::owned(Purpose::Registration, challenge);
        let (user, _) = self.redeem(code, subject, client, false).await?;
        Ok(user)
    }

    /// Sends a new code for the registration that has this password.
    pub async fn resend(
        &self,
        basic: &BasicCredentials,
        solution: Option<&str>,
        client: &Client,
    ) -> Result<ResentCode, Error> {
        let mut pass = self.resend.gate.enter(client, solution).await?;
        let written = async {
            if let Some(named) = &basic.address {
                pass.check(Reach::AnyAddress, named).await?;
            }
            let PasswordOwner::Registration(registration) = self.passwords.check_basic(basic, client).await? else {
                return Err(Error::InvalidCredentials);
            };
            let reference = VerificationRef { address: None, id: Some(registration.verification_id) };
            self.resend.issue(reference, None, &mut pass, client).await
        };
        let written = Box::pin(written).await;
        pass.settle(&written).await;
        let written = written.map_err(|error| match error {
            Error::UnknownVerification => Error::InvalidCredentials, // proven meanwhile
            other => other,
        });
        self.resend.activate(written?).await
    }

    /// Judges the code, then creates the account in one transaction.
    async fn redeem(
        &self,
        code: &OneTimeCode,
        subject: Subject,
        client: &Client,
        opens_session: bool,
    ) -> Result<(User, Option<Session>), Error> {
        let create = |verification: Verification| self.create_account(verification.id, client, opens_session);
        let (user, session) = self.checker.redeem(code, subject, client, create).await?;
        // Not the address as given: one that is held unproven may be somebody else's login. The answer waits for none of it.
        let (rate_limits, proven) = (self.rate_limits.clone(), user.clone());
        tokio::spawn(async move { rate_limits.reset_failures(None, &proven).await });
        Ok((user, session))
    }

    async fn create_account(
        &self,
        verification: Uuid,
        client: &Client,
        opens_session: bool,
    ) -> Result<(User, Option<Session>), Error> {
        let now = self.core.now();
        let pending = self.core.store.read().await?.activation(verification, self.conceal_accounts, now).await?;
        let activation = pending.ok_or(Error::InvalidCode)?;
        if let Some(taken) = activation.taken {
            return Err(Error::taken(taken));
        }
        let destination = activation.registration.destination();
        let user = User::from_registration(activation.registration, now);
        let destination = &destination;
        let new = NewAccount { user: &user, destination, verification, was_pending: true, client, opens_session };
        match self.creator.create(self.core.store.begin().await?, new, now).await {
            Ok(session) => Ok((user, session)),
            Err(StoreError::Stale) => Err(Error::InvalidCode), // all that was pending for the destination has ended
            Err(StoreError::Taken(taken)) => Err(self.lost_race(taken, verification, now).await),
            Err(error) => Err(error.into()),
        }
    }

    /// The error when an identifier was taken during activation.
    async fn lost_race(&self, taken: TakenIdentifier, verification: Uuid, now: Timestamp) -> Error {
        let still_pending = async { self.core.store.read().await?.registration(verification, now).await };
        match still_pending.await {
            Ok(Some(_)) => Error::taken(taken),
            Ok(None) => Error::InvalidCode,
            Err(error) => error.into(),
        }
    }
}
