//! Codes that anyone may request: to log in, or to set a new password.

use crate::{
    domain::{Address, Client, Holder, IssuedCode, LoginId, Purpose, User, Way},
    engine::{Caller, CodeIssuer, Core, InactiveCode, NewCode, RateLimits, SendGate, once_on_conflict},
    error::Error,
    store::{Reader, StoreError},
};

/// Sends codes that anyone may request.
#[derive(Clone)]
pub struct CodeRequestService {
    pub(crate) core: Core,
    pub(crate) issuer: CodeIssuer,
    pub(crate) gate: SendGate,
    pub(crate) rate_limits: RateLimits,
}

/// The account that a code is requested for; with a login id, both identifiers must be of one account.
#[derive(Debug, Clone)]
pub struct CodeRequest {
    /// Where the code is to go.
    pub address: Address,
    /// A login id beside the address.
    pub login_id: Option<LoginId>,
}

impl CodeRequestService {
    /// Sends a code to the account that has proven the address. For an unknown one the same is written and
    /// answered, and nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyRequests`], alike for known and unknown.
    pub async fn send(
        &self,
        purpose: Purpose,
        request: &CodeRequest,
        solution: Option<&str>,
        client: &Client,
    ) -> Result<IssuedCode, Error> {
        let mut pass = self.gate.enter(client, solution).await?;
        let write = async {
            pass.check(purpose, &request.address).await?;
            Box::pin(once_on_conflict(|| self.write(purpose, request, client))).await
        };
        let written = write.await;
        self.rate_limits.deferred.note(&written, &request.address, client, self.core.now());
        pass.settle(&written).await;
        self.issuer.activate(written?).await
    }

    async fn write(&self, purpose: Purpose, request: &CodeRequest, client: &Client) -> Result<InactiveCode, Error> {
        let login_id_hash = request.login_id.as_ref().map(LoginId::hash);
        let way = Way { purpose, destination: &request.address, login_id_hash: login_id_hash.as_deref() };
        let begun = match self.issuer.begin(way, Caller::Stranger).await {
            Err(refusal) => {
                let mut reader = self.core.store.read().await?;
                let account = find_account(&mut reader, request).await?.map(|user| user.id);
                let is_known = self.issuer.is_known(&mut reader, &refusal, account, client).await?;
                drop(reader); // one connection at a time
                if is_known { self.issuer.begin(way, Caller::Known).await? } else { return Err(refusal) }
            }
            Ok(begun) => begun,
        };
        let (mut tx, mut record, now) = begun;
        let verification_id = self.core.random.secret_id();
        let account = find_account(&mut tx, request).await?;
        // A deletion waits, or came first; for a phantom something is looked for all the same.
        let exists = tx.lock_user(account.as_ref().map_or(verification_id, |user| user.id)).await?;
        let account = account.filter(|_| exists);
        // As the account has it, never as the request spells it.
        let destination = account.as_ref().and_then(|user| user.proven_address(&request.address));
        let code = NewCode {
            purpose,
            destination: destination.as_ref().unwrap_or(&request.address),
            verification_id,
            is_first: true,
            locale: account.as_ref().and_then(|user| user.locale.clone()),
            holder: account.map_or(Holder::Phantom, |user| Holder::Account { id: user.id, epoch: user.epoch }),
            login_id_hash,
        };
        let code = self.issuer.issue(&mut tx, &mut record, &code, client, now).await?;
        tx.commit().await?;
        Ok(code)
    }
}

async fn find_account(reader: &mut Reader, request: &CodeRequest) -> Result<Option<User>, StoreError> {
    let user = match &request.login_id {
        Some(login_id) => reader.user_by_login_id(login_id).await?,
        None => reader.user_by_address(&request.address).await?,
    };
    Ok(user.filter(|user| user.disabled_at.is_none() && user.proven_address(&request.address).is_some()))
}
