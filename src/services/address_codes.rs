//! Codes of callers that name an address and nothing else.

use super::{ContactService, SessionService, VerificationService};
use crate::{
    domain::{Address, Client, OneTimeCode, Purpose, SessionTokens, User},
    engine::{Actor, CodeSubmission, Core, CurrentPassword, Subject, VerificationRef},
    error::Error,
};

/// Takes codes from callers that present no verification's id. One request is one attempt: the verification that is
/// meant is chosen before the code is looked at, and it counts as an attempt without an id.
#[derive(Clone)]
pub struct AddressCodeService {
    pub(crate) core: Core,
    pub(crate) verification: VerificationService,
    pub(crate) contacts: ContactService,
    pub(crate) sessions: SessionService,
}

impl AddressCodeService {
    /// Registers or logs in: by the registration of the caller's own network, otherwise the newest login code, otherwise
    /// a lone registration.
    ///
    /// # Errors
    ///
    /// As [`VerificationService::verify`].
    pub async fn verify(&self, address: Address, code: OneTimeCode, client: &Client) -> Result<SessionTokens, Error> {
        let subject = self.verification.checker.find_by_address(&address, client).await?;
        self.redeem(address, code, subject, client).await
    }

    /// Opens a session by a recovery code. Within a few minutes it may set the password.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub async fn verify_recovery(
        &self,
        address: Address,
        code: OneTimeCode,
        client: &Client,
    ) -> Result<SessionTokens, Error> {
        let subject = self.verification.checker.find_newest(Purpose::PasswordReset, &address, client).await?;
        self.redeem(address, code, subject, client).await
    }

    async fn redeem(
        &self,
        address: Address,
        code: OneTimeCode,
        subject: Subject,
        client: &Client,
    ) -> Result<SessionTokens, Error> {
        let purpose = Some(subject.purpose);
        let reference = VerificationRef { address: Some(address), id: None };
        let submission = CodeSubmission { code, reference, purpose, login_id: None, new_account: false };
        Box::pin(self.verification.verify_subject(&submission, subject, client)).await
    }

    /// Makes the address the account's own whose session asked for it from the caller's network, and renews that
    /// session.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] from elsewhere too, and once that session has ended.
    pub async fn verify_contact(
        &self,
        address: &Address,
        code: &OneTimeCode,
        client: &Client,
    ) -> Result<SessionTokens, Error> {
        let (actor, subject) = self.asked_from(address, client).await?;
        let Some(actor) = actor else {
            let nobody = |_| async { Err(Error::InvalidCode) };
            return self.contacts.checker.redeem(code, subject, client, nobody).await;
        };
        Box::pin(self.contacts.verify_subject(&actor, subject, code)).await?;
        self.sessions.renew(actor.session).await
    }

    /// Sends a new code for a change that was asked for from the caller's network; where there is none, nothing, which
    /// counts alike.
    ///
    /// # Errors
    ///
    /// As [`ContactService::request`] without the current password.
    pub async fn resend_contact(
        &self,
        address: &Address,
        solution: Option<&str>,
        client: &Client,
    ) -> Result<(), Error> {
        if let (Some(actor), _) = self.asked_from(address, client).await? {
            self.contacts.request(&actor, address, &CurrentPassword::Missing, solution).await?;
            return Ok(());
        }
        let mut pass = self.contacts.gate.enter(client, solution).await?;
        let outcome = pass.check(Purpose::ContactChange.reach(), address).await;
        pass.settle(&outcome).await;
        outcome
    }

    /// The owner of the change to this address that was asked for last from the caller's network, and the change.
    async fn asked_from(&self, address: &Address, client: &Client) -> Result<(Option<Actor>, Subject), Error> {
        let now = self.core.now();
        let mut reader = self.core.store.read().await?;
        let (mut actor, mut challenge) = (None, None);
        let policy = self.contacts.issuer.settings.policy(Purpose::ContactChange, address.channel());
        if !policy.needs_id()
            && let Some(asked) = reader.change_asked_from(address, &client.network_hash(), now).await?
            && let Some(owner) = reader.session_user(asked.session, asked.user, now).await?
        {
            actor = Some(Actor { user: owner.user, session: asked.session, client: client.clone() });
            challenge = reader.challenge(asked.verification, now).await?;
        }
        Ok((actor, Subject::named(Purpose::ContactChange, challenge, address)))
    }

    /// The addresses that the account's changes go to and whose codes are awaited, the newest first.
    pub async fn waiting_changes(&self, user: &User) -> Result<Vec<Address>, Error> {
        Ok(self.core.store.read().await?.waiting_changes(user.id, self.core.now()).await?)
    }
}
