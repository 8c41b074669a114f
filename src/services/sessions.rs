use std::{sync::Arc, time::Duration};

use crate::{
    crypto::{RefreshToken, Tokens},
    domain::{Client, Clock, OpenedSession, Random, Session, Timestamp, User},
    error::Error,
    store::{Store, StoreError, Tx},
};

#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// The idle end, moved on by each refresh.
    pub refresh_ttl: Duration,
    /// The end whatever a session does.
    pub session_ttl: Duration,
}

/// Opens sessions, and tells whose a token is.
#[derive(Clone)]
pub struct Sessions {
    pub store: Store,
    pub tokens: Tokens,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub settings: SessionSettings,
}

/// A device's name is a header of its own choosing.
const LONGEST_USER_AGENT: usize = 400;

impl Sessions {
    /// Writes a new session of the user; its tokens are good once the transaction is committed.
    pub(super) async fn open(
        &self,
        tx: &mut Tx,
        user: &User,
        client: &Client,
        now: Timestamp,
    ) -> Result<Session, StoreError> {
        let expires_at = now.plus(self.settings.session_ttl);
        let session = Session {
            id: self.random.id(now),
            user_id: user.id,
            counter: 0,
            salt: self.random.bytes::<16>().to_vec(),
            epoch: user.epoch,
            user_agent: client.user_agent.as_ref().map(|text| text.chars().take(LONGEST_USER_AGENT).collect()),
            address: Some(client.address.to_canonical().to_string()),
            created_at: now,
            ends_at: now.plus(self.settings.refresh_ttl).min(expires_at),
            expires_at,
        };
        tx.insert_session(&session).await?;
        Ok(session)
    }

    pub(super) fn tokens_of(&self, user: User, session: &Session, now: Timestamp) -> Result<OpenedSession, Error> {
        let internal = |error: anyhow::Error| Error::Internal(error);
        let salt = session.salt.as_slice().try_into().map_err(|_| internal(anyhow::anyhow!("a salt is 16 octets")))?;
        let refresh = RefreshToken { session: session.id, counter: session.counter, salt };
        Ok(OpenedSession {
            user,
            access_token: self
                .tokens
                .access(session, self.random.secret_id(), now)
                .map_err(|error| internal(error.into()))?,
            access_expires_in: self.tokens.access_ttl(),
            refresh_token: self.tokens.refresh(&refresh),
            refresh_expires_in: session.ends_at.after(now),
        })
    }

    /// The user of an access token whose session is good at this moment, on every node.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`] for a token that is none of ours, over, or of a session that ended.
    pub async fn authenticate(&self, token: &str) -> Result<User, Error> {
        let now = self.clock.now();
        let claims = self.tokens.read_access(token, now).ok_or(Error::InvalidToken)?;
        let user = self.store.read().await?.session_user(claims.sid, claims.sub, now).await?;
        user.ok_or(Error::InvalidToken)
    }
}
