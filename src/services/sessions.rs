//! Sessions: refreshing, listing and revoking them.

use uuid::Uuid;

use crate::{
    domain::{EventKind, Origin, Reason, RefreshToken, SessionSummary, SessionTokens, Timestamp, User},
    engine::{Core, EventLog, SessionOpener, once_on_conflict},
    error::Error,
    store::{SessionUser, ValidSession, Writer},
};

/// Refreshes, lists and revokes sessions, and authenticates access tokens.
#[derive(Clone)]
pub struct SessionService {
    pub(crate) core: Core,
    pub(crate) opener: SessionOpener,
    pub(crate) event_log: EventLog,
}

/// A refresh token whose rotation failed.
enum TokenStatus {
    /// It was replaced within the grace, or by tokens that nobody has used yet: its successor is that of the session
    /// as it stands.
    JustReplaced(Box<ValidSession>),
    /// It is the session's present one: a change of the account was in the way for a moment.
    Current,
    /// It was replaced before.
    Reused,
}

/// A change of the account is in the way of a refresh for a moment; several in a row hardly ever.
const TRIES: usize = 3;

impl SessionService {
    /// Replaces a refresh token, which is dead from then on.
    ///
    /// # Errors
    ///
    /// [`Error::TokenReused`] for a token that was replaced before: whoever has it, its session is revoked (RFC
    /// 9700, 4.14.2), but the last one replaced gets the same successor again within the grace, and until the
    /// successor is used where the settings say so.
    /// [`Error::InvalidToken`] for a token that is not ours (no row is touched), or of an ended session.
    pub async fn refresh(&self, text: &str, origin: Origin<'_>) -> Result<SessionTokens, Error> {
        let token = self.opener.tokens.verify_refresh(text).ok_or(Error::InvalidToken)?;
        let _turn = self.core.turns.take(token.session).await?;
        let now = self.core.now();
        let mut writer = self.core.store.write().await?;
        let idle_end = now.plus(self.opener.settings.refresh_ttl);
        for _ in 0..TRIES {
            let ValidSession { user, session, .. } = match writer.rotate_session(&token, now, idle_end).await? {
                Some(rotated) => rotated,
                None => match self.status(&mut writer, &token, now).await? {
                    TokenStatus::JustReplaced(valid) => *valid,
                    TokenStatus::Current => continue,
                    TokenStatus::Reused => {
                        drop(writer);
                        self.end(token.session, None, Reason::Reused, origin).await?;
                        return Err(Error::TokenReused);
                    }
                },
            };
            return self.opener.tokens(user, &session, now);
        }
        Err(Error::Conflict)
    }

    /// Classifies a refresh token whose rotation failed.
    async fn status(&self, writer: &mut Writer, token: &RefreshToken, now: Timestamp) -> Result<TokenStatus, Error> {
        let valid = writer.session(token.session, now).await?.ok_or(Error::InvalidToken)?;
        let session = &valid.session;
        let same_salt = token.salt[..] == session.salt[..];
        if same_salt && token.counter == session.counter {
            return Ok(TokenStatus::Current);
        }
        let is_last = same_salt && token.counter + 1 == session.counter;
        let in_grace = valid.rotated_at.plus(self.opener.settings.refresh_grace) > now;
        let is_unused = self.opener.settings.refresh_until_used && session.used_counter < session.counter;
        Ok(if is_last && (in_grace || is_unused) {
            TokenStatus::JustReplaced(Box::new(valid))
        } else {
            TokenStatus::Reused
        })
    }

    /// Revokes the session of a token of either kind; an invalid token revokes nothing (RFC 7009, 2.2).
    pub async fn log_out(&self, access: Option<&str>, refresh: Option<&str>, origin: Origin<'_>) -> Result<(), Error> {
        let (tokens, now) = (&self.opener.tokens, self.core.now());
        let by_access = access.and_then(|token| tokens.verify_access(token, now)).map(|claims| claims.sid);
        let by_refresh = refresh.and_then(|token| tokens.verify_refresh(token)).map(|token| token.session);
        for session in [by_access, by_refresh].into_iter().flatten() {
            let _turn = self.core.turns.take(session).await?;
            self.end(session, None, Reason::LoggedOut, origin).await?;
        }
        Ok(())
    }

    /// New tokens of a session whose owner has just proven an address in it, without its refresh token.
    pub(super) async fn renew(&self, session: Uuid) -> Result<SessionTokens, Error> {
        let _turn = self.core.turns.take(session).await?;
        let now = self.core.now();
        let idle_end = now.plus(self.opener.settings.refresh_ttl);
        let mut writer = self.core.store.write().await?;
        for _ in 0..TRIES {
            let current = writer.session(session, now).await?.ok_or(Error::InvalidToken)?;
            let token = current.session.refresh_token().ok_or(Error::InvalidToken)?;
            if let Some(ValidSession { user, session, .. }) = writer.rotate_session(&token, now, idle_end).await? {
                return self.opener.tokens(user, &session, now);
            }
        }
        Err(Error::Conflict)
    }

    /// Revokes all sessions of the user.
    pub async fn log_out_all(&self, user: &User, origin: Origin<'_>) -> Result<(), Error> {
        once_on_conflict(|| self.end_all(user.id, None, origin)).await
    }

    /// Revokes all sessions of the user but this one.
    pub async fn log_out_others(&self, user: &User, kept: Uuid, origin: Origin<'_>) -> Result<(), Error> {
        once_on_conflict(|| self.end_all(user.id, Some(kept), origin)).await
    }

    async fn end_all(&self, user_id: Uuid, kept: Option<Uuid>, origin: Origin<'_>) -> Result<(), Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        tx.revoke_all_sessions(user_id, kept, now).await?;
        let revoked = EventKind::all_revoked(user_id, kept, Reason::LoggedOutAll);
        self.event_log.append(&mut tx, [revoked], origin, now).await?;
        Ok(self.event_log.commit(tx).await?)
    }

    /// The user's valid sessions, the newest first.
    pub async fn list(&self, user: &User) -> Result<Vec<SessionSummary>, Error> {
        Ok(self.core.store.read().await?.sessions_of(user, self.core.now()).await?)
    }

    /// Revokes one of the user's own sessions.
    pub async fn revoke(&self, user: &User, session: Uuid, origin: Origin<'_>) -> Result<(), Error> {
        let was_valid = self.end(session, Some(user.id), Reason::Ended, origin).await?;
        if was_valid { Ok(()) } else { Err(Error::NotFound) }
    }

    /// Revokes a session, of this user if one is given; `false` if there is no valid one.
    pub async fn end(
        &self,
        session: Uuid,
        user: Option<Uuid>,
        reason: Reason,
        origin: Origin<'_>,
    ) -> Result<bool, Error> {
        let now = self.core.now();
        let mut tx = self.core.store.begin().await?;
        let Some(user_id) = tx.revoke_session(session, user, now).await? else { return Ok(false) };
        self.event_log.append(&mut tx, [EventKind::revoked(user_id, session, reason)], origin, now).await?;
        self.event_log.commit(tx).await?;
        Ok(true)
    }

    /// The user and the session of an access token that is valid at this moment, on every node.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`] for a token that is not ours, has expired, or belongs to an ended session.
    pub async fn authenticate(&self, token: &str) -> Result<(User, Uuid), Error> {
        let now = self.core.now();
        let claims = self.opener.tokens.verify_access(token, now).ok_or(Error::InvalidToken)?;
        let found = self.core.store.read().await?.session_user(claims.sid, claims.sub, now).await?;
        let SessionUser { user, counter, used_counter } = found.ok_or(Error::InvalidToken)?;
        // Before the answer: from here on the refresh token that these tokens replaced is somebody else's.
        if self.opener.settings.refresh_until_used && claims.counter == counter && used_counter < counter {
            self.core.store.write().await?.mark_session_used(claims.sid, counter).await?;
        }
        Ok((user, claims.sid))
    }

    /// Whether the access token is ours and has not expired, be its session what it may.
    pub fn is_signed(&self, token: &str) -> bool {
        self.opener.tokens.verify_access(token, self.core.now()).is_some()
    }

    /// The public keys of access tokens.
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!(self.opener.tokens.jwks())
    }
}
