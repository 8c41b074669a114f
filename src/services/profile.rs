use std::sync::Arc;

use uuid::Uuid;

use super::{Sessions, Throttle};
use crate::{
    crypto::{Hasher, Recipe},
    domain::{Client, Clock, Password, Timestamp, User},
    error::Error,
    store::{Change, Store},
};

/// What people change of their own account.
#[derive(Clone)]
pub struct ProfileService {
    pub store: Store,
    pub throttle: Throttle,
    pub hasher: Hasher,
    pub sessions: Sessions,
    pub clock: Arc<dyn Clock>,
}

impl ProfileService {
    pub async fn change(&self, user: &User, name: &Change, locale: &Change) -> Result<User, Error> {
        let mut writing = self.store.write().await?;
        writing.change_profile(user.id, name, locale, self.clock.now()).await?;
        writing.user(user.id).await?.ok_or(Error::InvalidToken)
    }

    /// Replaces the password; every session but this one ends.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassword`], counted for the account and the client;
    /// [`Error::ReauthenticationRequired`] where the current one is missing, unless the session was
    /// opened by a code within `fresh_for`. [`Error::InvalidToken`] where the account changed meanwhile.
    pub async fn change_password(
        &self,
        user: &User,
        session: Uuid,
        current: Option<&Password>,
        new: &Password,
        client: &Client,
    ) -> Result<(), Error> {
        let _counted = self.throttle.hash(client).await?;
        match current {
            Some(current) => self.check(user, current, client).await?,
            None => self.is_fresh(session).await?,
        }
        let recipe = self.hasher.recipe(&self.sessions.random.bytes::<16>());
        let hash = self.hasher.hash(new, recipe).await?;
        let mut tx = self.store.begin().await?;
        let epoch = tx.change_password(user, &hash, self.clock.now()).await?.ok_or(Error::InvalidToken)?;
        tx.take_session_along(session, epoch).await?;
        Ok(tx.commit().await?)
    }

    async fn check(&self, user: &User, current: &Password, client: &Client) -> Result<(), Error> {
        let account = format!("account:{}", user.id);
        let counted = self.throttle.password(&account, Timestamp::default(), client).await?;
        let outcome = self.compare(user, current).await;
        if !matches!(outcome, Err(Error::WrongPassword)) {
            for slot in counted {
                slot.give_back().await;
            }
        }
        outcome
    }

    async fn compare(&self, user: &User, current: &Password) -> Result<(), Error> {
        let kept = user.password_hash.as_deref();
        let recipe = kept.and_then(Recipe::of).ok_or(Error::WrongPassword)?;
        let hash = self.hasher.hash(current, recipe).await?;
        if kept == Some(&hash) { Ok(()) } else { Err(Error::WrongPassword) }
    }

    /// A code just proved who is there, as well as the password would.
    async fn is_fresh(&self, session: Uuid) -> Result<(), Error> {
        let now = self.clock.now();
        let found = self.store.read().await?.session(session, now).await?;
        let (session, _) = found.ok_or(Error::InvalidToken)?;
        let fresh = session.by_code && session.created_at.plus(self.sessions.settings.fresh_for) > now;
        if fresh { Ok(()) } else { Err(Error::ReauthenticationRequired) }
    }
}
