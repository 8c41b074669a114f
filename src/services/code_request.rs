use crate::{
    domain::{Address, Client, Holder, IssuedCode, LoginId, Purpose, User},
    engine::{
        Issuer, Throttle,
        code_checker::asked_with,
        code_issuer::{NewCode, Unpublished},
        retry::run_twice,
    },
    error::Error,
    store::{Connection, Store, StoreError},
};

/// Sends codes that anybody may ask for, to log in or to set a new password.
#[derive(Clone)]
pub struct AskingService {
    pub store: Store,
    pub issuer: Issuer,
    pub throttle: Throttle,
}

/// Whose code is asked for: with a login id, both must be of one account.
#[derive(Debug, Clone)]
pub struct Asked {
    pub address: Address,
    pub login_id: Option<LoginId>,
}

impl AskingService {
    /// Sends a code to the account that has proven the address. For an unknown one the same is
    /// written and answered, and nothing sent.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyRequests`], alike for known and unknown.
    pub async fn ask(&self, purpose: Purpose, asked: &Asked, client: &Client) -> Result<IssuedCode, Error> {
        let send = self.throttle.send(client).await?;
        match run_twice(|| self.write(purpose, asked)).await {
            Ok(code) => self.issuer.publish(code).await,
            Err(error) => {
                send.give_back().await;
                Err(error)
            }
        }
    }

    async fn write(&self, purpose: Purpose, asked: &Asked) -> Result<Unpublished, Error> {
        let mut tx = self.store.begin().await?;
        let (mut history, now) = self.issuer.lock(&mut tx, &asked.address.key()).await?;
        self.issuer.admit(&history, purpose, now)?;
        let verification = self.issuer.random.secret_id();
        let account = account(&mut tx, asked).await?;
        // A deletion waits, or came first; for nobody something is looked for all the same.
        let is_there = tx.hold_user(account.as_ref().map_or(verification, |user| user.id)).await?;
        let account = account.filter(|_| is_there);
        // As the account has it, never as the request spells it.
        let destination = account.as_ref().and_then(|user| user.as_proven(&asked.address));
        let locale = account.as_ref().and_then(|user| user.locale.clone());
        let code = NewCode {
            locale,
            purpose,
            destination: destination.as_ref().unwrap_or(&asked.address),
            verification,
            first: true,
            holder: account.map_or(Holder::Nobody, |user| Holder::Account { id: user.id, epoch: user.epoch }),
            asked_with: asked_with(asked.login_id.as_ref()),
        };
        let code = self.issuer.issue(&mut tx, &mut history, &code, now).await?;
        tx.commit().await?;
        Ok(code)
    }
}

async fn account(connection: &mut Connection, asked: &Asked) -> Result<Option<User>, StoreError> {
    let user = match &asked.login_id {
        Some(login_id) => connection.user_by_login_id(login_id).await?,
        None => connection.user_by_address(&asked.address).await?,
    };
    Ok(user.filter(|user| user.disabled_at.is_none() && user.as_proven(&asked.address).is_some()))
}
