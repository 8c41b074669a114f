use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::Throttle;
use crate::{
    crypto::{Hasher, Recipe},
    domain::{Client, Clock, Password, Random, Timestamp, User},
    error::Error,
    store::Store,
};

/// Makes sure that who has a session is still who opened it, before what can't be undone.
#[derive(Clone)]
pub struct Reauthentication {
    pub store: Store,
    pub throttle: Throttle,
    pub hasher: Hasher,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// How long after its opening a session proves by itself who is there.
    pub fresh_for: Duration,
}

/// The password that somebody who has a session gives.
#[derive(Debug, Clone)]
pub enum CurrentPassword {
    Missing,
    /// What can't be anybody's: a wrong one.
    Impossible,
    Given(Password),
}

/// What a young session is enough for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enough {
    Young,
    /// A code just proved who is there, as well as the password would.
    YoungAndByCode,
}

impl Reauthentication {
    /// # Errors
    ///
    /// [`Error::WrongPassword`] for one that is given and wrong, counted for the account and the
    /// client; [`Error::ReauthenticationRequired`] where it is missing and the session not enough.
    pub(crate) async fn require(
        &self,
        user: &User,
        session: Uuid,
        current: &CurrentPassword,
        enough: Enough,
        client: &Client,
    ) -> Result<(), Error> {
        match current {
            CurrentPassword::Given(current) => self.check(user, Some(current), client).await,
            CurrentPassword::Impossible => self.check(user, None, client).await,
            CurrentPassword::Missing => self.is_fresh(session, enough).await,
        }
    }

    async fn check(&self, user: &User, current: Option<&Password>, client: &Client) -> Result<(), Error> {
        let account = format!("account:{}", user.id);
        let counted = self.throttle.password(&account, Timestamp::default(), client).await?;
        let outcome = self.compare(user, current, client).await;
        counted.settle(matches!(outcome, Err(Error::WrongPassword))).await;
        outcome
    }

    async fn compare(&self, user: &User, current: Option<&Password>, client: &Client) -> Result<(), Error> {
        let _counted = self.throttle.hash(client).await?;
        let kept = user.password_hash.as_deref();
        let recipe = kept.and_then(Recipe::of).ok_or(Error::WrongPassword)?;
        let hash = self.hasher.hash(current.ok_or(Error::WrongPassword)?, recipe).await?;
        if kept == Some(&hash) { Ok(()) } else { Err(Error::WrongPassword) }
    }

    async fn is_fresh(&self, session: Uuid, enough: Enough) -> Result<(), Error> {
        let now = self.clock.now();
        let found = self.store.read().await?.session(session, now).await?;
        let (session, _) = found.ok_or(Error::InvalidToken)?;
        let young = session.created_at.plus(self.fresh_for) > now;
        let fresh = young && (session.by_code || enough == Enough::Young);
        if fresh { Ok(()) } else { Err(Error::ReauthenticationRequired) }
    }
}
