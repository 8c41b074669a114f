use std::{sync::Arc, time::Duration};

use crate::{
    crypto::Tokens,
    domain::{Client, Clock, OpenedSession, Random, RefreshToken, Session, Timestamp, User},
    error::Error,
    store::{StoreError, Tx},
};

#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// How long after its opening a session proves by itself who is there.
    pub fresh_for: Duration,
    /// How long the token just replaced still gets its successor: a lost answer, a second tab.
    pub refresh_grace: Duration,
    /// The idle end, moved on by each refresh.
    pub refresh_ttl: Duration,
    /// The end whatever a session does.
    pub session_ttl: Duration,
}

/// Opens sessions, and makes their tokens.
#[derive(Clone)]
pub struct SessionOpener {
    pub tokens: Tokens,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub settings: SessionSettings,
}

/// A device's name is a header of its own choosing.
const LONGEST_USER_AGENT: usize = 400;

impl SessionOpener {
    /// Writes a new session of the user, whose tokens are good once the transaction is committed;
    /// `None` where the account has changed since it was read.
    pub(crate) async fn open(
        &self,
        tx: &mut Tx,
        user: &User,
        client: &Client,
        by_code: bool,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let expires_at = now.plus(self.settings.session_ttl);
        let session = Session {
            id: self.random.id(now),
            user_id: user.id,
            counter: 0,
            salt: self.random.bytes::<16>().to_vec(),
            epoch: user.epoch,
            by_code,
            user_agent: client.user_agent.as_ref().map(|text| text.chars().take(LONGEST_USER_AGENT).collect()),
            address: Some(client.address.to_canonical().to_string()),
            created_at: now,
            ends_at: now.plus(self.settings.refresh_ttl).min(expires_at),
            expires_at,
        };
        Ok(tx.insert_session(&session).await?.then_some(session))
    }

    pub(crate) fn tokens_of(&self, user: User, session: &Session, now: Timestamp) -> Result<OpenedSession, Error> {
        let internal = |error: anyhow::Error| Error::Internal(error);
        let salt = session.salt.as_slice().try_into().map_err(|_| internal(anyhow::anyhow!("a salt is 16 octets")))?;
        let refresh = RefreshToken { session: session.id, counter: session.counter, salt };
        Ok(OpenedSession {
            user,
            opened_at: session.created_at,
            access_token: self
                .tokens
                .access(session, self.random.secret_id(), now)
                .map_err(|error| internal(error.into()))?,
            access_expires_in: self.tokens.access_ttl(),
            refresh_token: self.tokens.refresh(&refresh),
            refresh_expires_in: session.ends_at.after(now),
        })
    }
}
