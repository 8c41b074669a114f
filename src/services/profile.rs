use uuid::Uuid;

use crate::{
    domain::{Change, Client, FieldError, Happening, Password, Reason, User},
    engine::{CurrentPassword, Journal, Reauthentication, reauthentication::Enough, retry::run_twice},
    error::Error,
};

/// What people change of their own account.
#[derive(Clone)]
pub struct ProfileService {
    pub reauthentication: Reauthentication,
    pub journal: Journal,
}

impl ProfileService {
    pub async fn change(&self, user: &User, name: &Change, locale: &Change) -> Result<User, Error> {
        let Reauthentication { store, clock, .. } = &self.reauthentication;
        let mut writing = store.write().await?;
        writing.change_profile(user.id, name, locale, clock.now()).await?;
        writing.user(user.id).await?.ok_or(Error::InvalidToken)
    }

    /// Replaces the password; every session but this one ends.
    ///
    /// # Errors
    ///
    /// As [`Reauthentication`]; a session is enough that was opened by a code within `fresh_for`.
    /// [`Error::Overloaded`] where the account changed meanwhile: asking again is safe.
    pub async fn change_password(
        &self,
        user: &User,
        session: Uuid,
        current: &CurrentPassword,
        new: &Password,
        client: &Client,
    ) -> Result<(), Error> {
        let Reauthentication { hasher, throttle, random, .. } = &self.reauthentication;
        user.admits(new).map_err(|error| Error::field(FieldError { field: "new_password", ..error }))?;
        self.reauthentication.require(user, session, current, Enough::YoungAndByCode, client).await?;
        if matches!(current, CurrentPassword::Missing) {
            let _counted = throttle.hash(client).await?; // the current one's hash was not counted
        }
        let recipe = hasher.recipe(&random.bytes::<16>());
        let hash = hasher.hash(new, recipe).await?;
        run_twice(|| self.set_password(user, session, &hash)).await
    }

    async fn set_password(&self, user: &User, session: Uuid, hash: &str) -> Result<(), Error> {
        let Reauthentication { store, clock, .. } = &self.reauthentication;
        let now = clock.now();
        let mut tx = store.begin().await?;
        // Changed meanwhile: asked again, the token tells whether that ended its session.
        let epoch = tx.change_password(user, hash, now).await?.ok_or(Error::Overloaded)?;
        tx.take_sessions_along(user.id, Some(session), epoch).await?;
        let (user_id, reason) = (user.id, Reason::PasswordChanged);
        let happened = [
            Happening::PasswordChanged { user_id, reason },
            Happening::SessionRevoked { user_id, session_id: None, but: Some(session), reason },
        ];
        self.journal.record(&mut tx, happened, now).await?;
        Ok(self.journal.commit(tx).await?)
    }

    /// Removes the account and all that names it.
    ///
    /// # Errors
    ///
    /// As [`change_password`](Self::change_password).
    pub async fn delete(
        &self,
        user: &User,
        session: Uuid,
        current: &CurrentPassword,
        client: &Client,
    ) -> Result<(), Error> {
        self.reauthentication.require(user, session, current, Enough::YoungAndByCode, client).await?;
        run_twice(|| self.remove(user)).await
    }

    async fn remove(&self, user: &User) -> Result<(), Error> {
        let mut tx = self.reauthentication.store.begin().await?;
        if !tx.delete_user(user).await? {
            return Err(Error::Overloaded); // changed meanwhile
        }
        let now = self.reauthentication.clock.now();
        self.journal.record(&mut tx, [Happening::UserDeleted { user_id: user.id }], now).await?;
        Ok(self.journal.commit(tx).await?)
    }
}
