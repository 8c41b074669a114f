use uuid::Uuid;

use super::{LoginService, Resend, ResendService, Sessions};
use crate::{
    domain::{Client, Happening, OneTimeCode, OpenedSession, Purpose, Session, Timestamp, User},
    engine::{BasicCredentials, Credentials, Guessing, Journal, Proof, Which, code_checker::Found, passwords::Owner},
    error::Error,
    store::StoreError,
};

/// Proves that somebody holds what they registered, and makes the account.
#[derive(Clone)]
pub struct VerificationService {
    pub guessing: Guessing,
    pub sessions: Sessions,
    pub credentials: Credentials,
    pub resending: ResendService,
    pub login: LoginService,
    pub journal: Journal,
}

/// The account just made, its session if one was asked for, and the moment.
struct Made {
    user: User,
    session: Option<Session>,
    at: Timestamp,
}

impl VerificationService {
    /// Makes the account that was registered and opens its first session; or logs in, by a code for that.
    ///
    /// If the database fails after the code was judged right, the code is released and still good
    /// within its life.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for a code that is wrong, expired, used or was never asked for: one
    /// answer, so that it does not tell who is registered; [`Error::InvalidLoginCode`] of a login's.
    /// [`Error::TooManyAttempts`] once its tries or a budget are spent. [`Error::AccountExists`] when
    /// another has proven an address meanwhile.
    pub async fn verify(&self, proof: &Proof, client: &Client) -> Result<OpenedSession, Error> {
        let found = self.guessing.find(proof, client).await?;
        if found.purpose == Purpose::Login {
            return self.login.log_in_by_code(proof, found, client).await;
        }
        let made = self.prove(&proof.code, found, client, true).await?;
        // Not the address as given: one that is held unproven may be the name of somebody else.
        self.guessing.throttle.forgive(None, &made.user).await;
        match made.session {
            Some(session) => self.sessions.opener.tokens_of(made.user, &session, made.at),
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
        let now = self.guessing.issuer.clock.now();
        let challenge = self.guessing.store.read().await?.challenge(registration.verification_id, now).await?;
        let found = Found::owned(Purpose::Registration, challenge);
        let made = self.prove(code, found, client, false).await?;
        self.guessing.throttle.forgive(None, &made.user).await;
        Ok(made.user)
    }

    /// Sends a new code for the registration that has this password.
    pub async fn resend(&self, basic: &BasicCredentials, client: &Client) -> Result<Resend, Error> {
        let Owner::Pending(registration) = self.credentials.owner(basic, client).await? else {
            return Err(Error::InvalidCredentials);
        };
        let which = Which { address: None, id: Some(registration.verification_id) };
        self.resending.resend(which, client).await.map_err(|error| match error {
            Error::UnknownVerification => Error::InvalidCredentials, // proven meanwhile
            other => other,
        })
    }

    /// Judges the code, then makes the account in one transaction.
    async fn prove(&self, code: &OneTimeCode, found: Found, client: &Client, open: bool) -> Result<Made, Error> {
        self.guessing.prove(code, found, client, |verification| self.make_account(verification.id, client, open)).await
    }

    async fn make_account(&self, verification: Uuid, client: &Client, open: bool) -> Result<Made, Error> {
        let now = self.guessing.issuer.clock.now();
        let mut tx = self.guessing.store.begin().await?;
        let activation = tx.activation(verification, now).await?.ok_or(Error::InvalidCode)?;
        if let Some(taken) = activation.taken {
            return Err(Error::taken(taken));
        }
        let destination = activation.registration.destination.clone();
        let user = User::from_registration(activation.registration, now);
        if let Err(error) = tx.insert_user(&user).await {
            tx.rollback().await?;
            return Err(self.lost_race(error, verification, now).await);
        }
        // Ends all that is pending for the destination; a loser finds its own gone.
        let own_ended = tx.end_registrations(&destination.key()).await?.contains(&user.id);
        if !own_ended || !tx.mark_verified(verification, Some(user.id), now).await? {
            return Err(Error::InvalidCode);
        }
        let session = if open { self.sessions.opener.open(&mut tx, &user, client, true, now).await? } else { None };
        let (user_id, channel) = (user.id, Some(destination.channel()));
        let mut happened = vec![Happening::UserRegistered { user_id }, Happening::UserActivated { user_id, channel }];
        happened.extend(session.as_ref().map(Session::opened));
        self.journal.record(&mut tx, happened, now).await?;
        self.journal.commit(tx).await?;
        Ok(Made { user, session, at: now })
    }

    /// What an account that could not be made says: somebody had a name of it first.
    async fn lost_race(&self, error: StoreError, verification: Uuid, now: Timestamp) -> Error {
        let StoreError::Taken(taken) = error else { return error.into() };
        let still_pending = async { self.guessing.store.read().await?.registration(verification, now).await };
        match still_pending.await {
            Ok(Some(_)) => Error::taken(taken),
            Ok(None) => Error::InvalidCode,
            Err(error) => error.into(),
        }
    }
}
