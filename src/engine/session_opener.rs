//! Opening sessions.

use std::time::Duration;

use super::{Core, DeferredLines};
use crate::{
    crypto::Tokens,
    domain::{Address, Client, EventKind, NewSession, Reason, Session, SessionTokens, Timestamp, User, site_hash},
    error::Error,
    store::{StoreError, Tx},
};

/// The lifetimes of sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionSettings {
    /// How long after its opening a session proves by itself who is there.
    pub fresh_for: Duration,
    /// How long the token just replaced still gets its successor in any case: a second tab.
    pub refresh_grace: Duration,
    /// The token just replaced gets its successor until that is used, however late: an answer that was lost.
    pub refresh_until_used: bool,
    /// How long a session may be idle; each refresh starts it anew.
    pub refresh_ttl: Duration,
    /// How long a session lives in any case.
    pub session_ttl: Duration,
}

/// Opens sessions and makes their tokens.
#[derive(Clone)]
pub struct SessionOpener {
    pub(crate) core: Core,
    pub(crate) tokens: Tokens,
    pub(crate) settings: SessionSettings,
    pub(crate) deferred: DeferredLines,
}

/// A client chooses its own `User-Agent`; more than this is cut off.
const LONGEST_USER_AGENT: usize = 400;
/// The sessions that an account keeps: ended ones and the oldest give way.
const SESSIONS_KEPT: i64 = 100;
/// An account's last session is noted so often.
const NOTED_FOR: Duration = Duration::from_hours(1);

impl SessionOpener {
    /// The same, with what access tokens say of their session beside the rest.
    #[must_use]
    pub fn with_session_claims(self) -> Self {
        Self { tokens: self.tokens.with_session_claims(), ..self }
    }

    /// Inserts a session of the user, opened by a code to an address or else by the password, and returns it and its
    /// events. Its tokens are valid once the transaction is committed, which fails with [`StoreError::Stale`] if the
    /// account changed since it was read, or has no room for one more while none is made.
    pub(crate) async fn open(
        &self,
        tx: &mut Tx,
        user: &User,
        client: &Client,
        (opened_by, makes_room): (Option<&Address>, bool),
        now: Timestamp,
    ) -> Result<(Session, Vec<EventKind>), StoreError> {
        let session = self.session(user, client, opened_by, now);
        let mut events = vec![session.login_event()];
        // Before the session's row, which would lock the account's for less.
        let is_locked = makes_room || user.session_opened_at.plus(NOTED_FOR) <= now;
        if is_locked {
            tx.note_session(user, now)?;
        }
        if makes_room {
            let dropped = tx.delete_oldest_sessions(user, SESSIONS_KEPT - 1, now).await?;
            events.extend(dropped.into_iter().map(|id| EventKind::revoked(user.id, id, Reason::Crowded)));
        }
        if is_locked {
            tx.insert_session_of_locked(&session, SESSIONS_KEPT)?;
        } else {
            tx.insert_session(&session, SESSIONS_KEPT)?;
        }
        Ok((session, events))
    }

    /// Inserts the first session of an account that the same transaction inserts.
    pub(crate) fn open_first(
        &self,
        tx: &mut Tx,
        user: &User,
        client: &Client,
        opened_by: &Address,
        now: Timestamp,
    ) -> Result<Session, StoreError> {
        let session = self.session(user, client, Some(opened_by), now);
        tx.insert_session_of_locked(&session, SESSIONS_KEPT)?;
        Ok(session)
    }

    fn session(&self, user: &User, client: &Client, opened_by: Option<&Address>, now: Timestamp) -> Session {
        let expires_at = now.plus(self.settings.session_ttl);
        Session {
            id: self.core.random.id(now),
            user_id: user.id,
            counter: 0,
            used_counter: 0,
            salt: self.core.random.bytes::<16>().to_vec(),
            epoch: user.epoch,
            opened_by: opened_by.map(Address::hash),
            user_agent: client.user_agent.as_ref().map(|text| text.chars().take(LONGEST_USER_AGENT).collect()),
            ip: Some(client.ip.to_canonical().to_string()),
            created_at: now,
            ends_at: now.plus(self.settings.refresh_ttl).min(expires_at),
            expires_at,
        }
    }

    /// The first tokens of a session.
    pub(crate) fn first_tokens(&self, new: NewSession) -> Result<SessionTokens, Error> {
        let opened_at = new.session.created_at;
        if let Some(ip) = new.session.ip.as_ref().and_then(|ip| ip.parse().ok()) {
            self.deferred.session_opened(new.user.id, site_hash(ip, new.user.id));
        }
        let tokens = self.tokens(new.user, &new.session, opened_at)?;
        Ok(SessionTokens { is_new: new.is_new, ..tokens })
    }

    /// The tokens of a session as it stands.
    pub(crate) fn tokens(&self, user: User, session: &Session, now: Timestamp) -> Result<SessionTokens, Error> {
        let refresh = session.refresh_token();
        let refresh = refresh.ok_or_else(|| Error::Internal(anyhow::anyhow!("a salt is 16 octets")))?;
        let access = self.tokens.sign_access(session, &user.claims, self.core.random.secret_id(), now);
        Ok(SessionTokens {
            user,
            is_new: false,
            opened_at: session.created_at,
            access_token: access.map_err(|error| Error::Internal(error.into()))?,
            access_expires_in: self.tokens.access_ttl(),
            access_expires_at: now.plus(self.tokens.access_ttl()),
            refresh_token: self.tokens.encode_refresh(&refresh),
            refresh_expires_in: session.ends_at.after(now),
        })
    }
}
