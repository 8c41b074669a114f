//! Codes that anyone may request: to log in, or to set a new password.

use crate::{
    domain::{
        Address, AppHash, Client, Holder, IssuedCode, JsonObject, Locale, LoginId, PersonName, Purpose, Reach, SignUp,
        User, Way,
    },
    engine::{Admission, Caller, CodeIssuer, Core, InactiveCode, NewCode, RateLimits, SendGate, once_on_conflict},
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
    pub(crate) admission: Admission,
}

/// The account that a code is requested for; with a login id, both identifiers must be of one account.
#[derive(Debug, Clone)]
pub struct CodeRequest {
    /// Where the code is to go.
    pub address: Address,
    /// A login id beside the address.
    pub login_id: Option<LoginId>,
    /// The Android app that asks.
    pub app_hash: Option<AppHash>,
    /// The language of the request.
    pub locale: Option<Locale>,
    /// Nobody's address may register by the code.
    pub newcomer: Option<Newcomer>,
}

/// What a person without an account says of themselves.
#[derive(Debug, Clone, Default)]
pub struct Newcomer {
    /// The name.
    pub name: Option<PersonName>,
    /// A JSON object of the person's own.
    pub data: JsonObject,
}

impl CodeRequestService {
    /// Whether a code alone may make an account.
    pub fn may_register(&self) -> bool {
        self.admission.rules.password_optional
    }

    /// Sends a code to the account that has proven the address. For an unknown one the same is written and answered:
    /// where it may register by the code, that is sent to it, otherwise nothing is.
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
        let mut pass = self.gate.enter(client, solution).await?.or_phantom();
        let write = async {
            let sign_up = self.sign_up(purpose, request, client).await?;
            let reach = if sign_up.is_some() { Reach::AnyAddress } else { purpose.reach() };
            pass.check(reach, &request.address).await?;
            Box::pin(once_on_conflict(|| self.write(purpose, request, sign_up.as_ref(), client))).await
        };
        let written = write.await;
        self.rate_limits.deferred.note(&written, &request.address, client, self.core.now());
        pass.settle(&written).await;
        self.issuer.activate(written?).await
    }

    /// The account that the code may make, be the address an account's or not. While such a code lives, a plain one for
    /// the address is one too: else a stranger's, to nobody, would be the newest.
    async fn sign_up(&self, purpose: Purpose, request: &CodeRequest, client: &Client) -> Result<Option<SignUp>, Error> {
        if !self.may_register() || purpose != Purpose::Login || request.login_id.is_some() {
            return Ok(None);
        }
        let locale = request.locale.as_ref().map(|locale| locale.as_str().to_owned());
        if let Some(newcomer) = &request.newcomer
            && self.admission.admits(&request.address).await?
        {
            let name = newcomer.name.as_ref().map(|name| name.as_str().to_owned());
            return Ok(Some(SignUp::new(name, locale, newcomer.data.clone(), client)));
        }
        let is_signing_up = self.core.store.read().await?.is_signing_up(&request.address, self.core.now()).await?;
        Ok(is_signing_up.then(|| SignUp::new(None, locale, JsonObject::default(), client)))
    }

    async fn write(
        &self,
        purpose: Purpose,
        request: &CodeRequest,
        sign_up: Option<&SignUp>,
        client: &Client,
    ) -> Result<InactiveCode, Error> {
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
        let locale = account.as_ref().and_then(|user| user.locale.clone());
        let code = NewCode {
            purpose,
            destination: destination.as_ref().unwrap_or(&request.address),
            verification_id,
            generation: 1,
            locale: match sign_up {
                Some(sign_up) => sign_up.locale.clone(), // the account's would tell
                None => locale.or_else(|| request.locale.as_ref().map(|locale| locale.as_str().to_owned())),
            },
            holder: match (account, sign_up) {
                (Some(user), _) => Holder::Account { id: user.id, epoch: user.epoch },
                (None, Some(_)) => Holder::Newcomer,
                (None, None) => Holder::Phantom,
            },
            login_id_hash,
            app_hash: request.app_hash.clone(),
            sign_up: sign_up.cloned(),
        };
        let code = self.issuer.issue(&mut tx, &mut record, &code, client, now)?;
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
