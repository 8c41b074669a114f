use crate::{
    crypto::Hasher,
    domain::{Address, Client, FieldError, Happening, Holder, NoticeKind, Password, Reason, User, Verification},
    engine::{Guessing, Journal, Notices, Proof},
    error::Error,
};

/// Gives an account a new password, by a code.
#[derive(Clone)]
pub struct RecoveryService {
    pub guessing: Guessing,
    pub hasher: Hasher,
    pub notices: Notices,
    pub journal: Journal,
}

impl RecoveryService {
    /// Sets the password and ends every session, live code and pending contact change; the owner is told.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] for any code that is not good now. [`Error::Invalid`] where the password
    /// is one of the account's names: the code stays good.
    pub async fn reset(&self, proof: &Proof, new: &Password, client: &Client) -> Result<(), Error> {
        let found = self.guessing.find(proof, client).await?;
        let _counted = self.guessing.throttle.hash(client).await?;
        let recipe = self.hasher.recipe(&self.guessing.issuer.random.bytes::<16>());
        let hash = self.hasher.hash(new, recipe).await?;
        let user = self.guessing.prove(&proof.code, found, client, |it| self.set(it, new, &hash)).await?;
        let given = proof.which.address.as_ref().map(Address::key);
        self.guessing.throttle.forgive(given, &user).await;
        self.guessing.issuer.wake.notify_one();
        Ok(())
    }

    async fn set(&self, proven: Verification, new: &Password, hash: &str) -> Result<User, Error> {
        let Holder::Account { id, epoch } = proven.holder else { return Err(Error::InvalidCode) };
        let now = self.guessing.issuer.clock.now();
        let mut tx = self.guessing.store.begin().await?;
        let user = tx.user(id).await?.filter(|user| user.epoch == epoch).ok_or(Error::InvalidCode)?;
        user.admits(new).map_err(|error| Error::field(FieldError { field: "new_password", ..error }))?;
        tx.change_password(&user, hash, now).await?.ok_or(Error::InvalidCode)?;
        if !tx.mark_verified(proven.id, None, now).await? {
            return Err(Error::InvalidCode);
        }
        self.notices.tell(&mut tx, &user, &user.proven(), NoticeKind::PasswordReset, None, now).await?;
        let (user_id, reason) = (user.id, Reason::PasswordReset);
        let happened = [
            Happening::PasswordChanged { user_id, reason },
            Happening::SessionRevoked { user_id, session_id: None, but: None, reason },
        ];
        self.journal.record(&mut tx, happened, now).await?;
        self.journal.commit(tx).await?;
        Ok(user)
    }
}
