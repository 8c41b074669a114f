use std::time::Duration;

use uuid::Uuid;

use crate::{
    domain::{Happening, ListedSession, OpenedSession, Reason, RefreshToken, Session, Timestamp, User},
    engine::{Journal, SessionOpener, retry::run_twice},
    error::Error,
    store::{Connection, Store},
};

/// Opens sessions, and tells whose a token is.
#[derive(Clone)]
pub struct Sessions {
    pub store: Store,
    pub opener: SessionOpener,
    pub journal: Journal,
}

enum Standing {
    /// Its successor's session, as it stands.
    JustReplaced(Box<Session>),
    /// It is the session's own: a change of the account was in the way, and is over.
    Current,
    Older,
}

/// A change of the account is in a refresh's way for a moment; several in a row hardly ever.
const TRIES: usize = 3;
impl Sessions {
    /// A new token for the one given, which is dead from here on.
    ///
    /// # Errors
    ///
    /// [`Error::TokenReused`] for a token that was replaced before: whoever has it, its session ends
    /// (RFC 9700, 4.14.2), but within the grace the last one replaced gets the same successor again.
    /// [`Error::InvalidToken`] for one that is none of ours (no row is touched), or of an ended session.
    pub async fn refresh(&self, text: &str) -> Result<OpenedSession, Error> {
        let token = self.opener.tokens.read_refresh(text).ok_or(Error::InvalidToken)?;
        let now = self.opener.clock.now();
        let mut writing = self.store.write().await?;
        let idle_end = now.plus(self.opener.settings.refresh_ttl);
        for _ in 0..TRIES {
            let session = match writing.rotate_session(&token, now, idle_end).await? {
                Some(session) => session,
                None => match Self::standing(&mut writing, &token, now, self.opener.settings.refresh_grace).await? {
                    Standing::JustReplaced(session) => *session,
                    Standing::Current => continue,
                    Standing::Older => {
                        drop(writing);
                        self.end(token.session, None, Reason::Reused).await?;
                        return Err(Error::TokenReused);
                    }
                },
            };
            let user = writing.user(session.user_id).await?.ok_or(Error::InvalidToken)?;
            return self.opener.tokens_of(user, &session, now);
        }
        Err(Error::Lost)
    }

    /// What a token is that did not replace itself.
    async fn standing(
        writing: &mut Connection,
        token: &RefreshToken,
        now: Timestamp,
        grace: Duration,
    ) -> Result<Standing, Error> {
        let (session, rotated_at) = writing.session(token.session, now).await?.ok_or(Error::InvalidToken)?;
        let same_salt = token.salt[..] == session.salt[..];
        if same_salt && token.counter == session.counter {
            return Ok(Standing::Current);
        }
        let just_replaced = same_salt && token.counter + 1 == session.counter;
        let in_grace = just_replaced && rotated_at.plus(grace) > now;
        Ok(if in_grace { Standing::JustReplaced(Box::new(session)) } else { Standing::Older })
    }

    /// Ends the session of a token of either kind; one that is worth nothing ends nothing (RFC 7009).
    pub async fn log_out(&self, access: Option<&str>, refresh: Option<&str>) -> Result<(), Error> {
        let now = self.opener.clock.now();
        let by_access = access.and_then(|token| self.opener.tokens.read_access(token, now)).map(|claims| claims.sid);
        let by_refresh = refresh.and_then(|token| self.opener.tokens.read_refresh(token)).map(|token| token.session);
        for session in [by_access, by_refresh].into_iter().flatten() {
            self.end(session, None, Reason::LoggedOut).await?;
        }
        Ok(())
    }

    pub async fn log_out_all(&self, user: &User) -> Result<(), Error> {
        run_twice(|| self.end_all(user.id)).await
    }

    async fn end_all(&self, user_id: Uuid) -> Result<(), Error> {
        let now = self.opener.clock.now();
        let mut tx = self.store.begin().await?;
        tx.end_all_sessions(user_id, now).await?;
        let reason = Reason::LoggedOutAll;
        let happened = [Happening::SessionRevoked { user_id, session_id: None, but: None, reason }];
        self.journal.record(&mut tx, happened, now).await?;
        Ok(self.journal.commit(tx).await?)
    }

    /// The user's sessions that are good, the newest first.
    pub async fn list(&self, user: &User) -> Result<Vec<ListedSession>, Error> {
        Ok(self.store.read().await?.sessions_of(user, self.opener.clock.now()).await?)
    }

    /// Ends one of the user's own sessions.
    pub async fn revoke(&self, user: &User, session: Uuid) -> Result<(), Error> {
        let ended = self.end(session, Some(user.id), Reason::Ended).await?;
        if ended { Ok(()) } else { Err(Error::NotFound) }
    }

    /// Ends a session, of this user if one is named; `false` where there is none that is good.
    pub async fn end(&self, session: Uuid, of: Option<Uuid>, reason: Reason) -> Result<bool, Error> {
        let now = self.opener.clock.now();
        let mut tx = self.store.begin().await?;
        let Some(user_id) = tx.revoke_session(session, of, now).await? else { return Ok(false) };
        let happened = [Happening::SessionRevoked { user_id, session_id: Some(session), but: None, reason }];
        self.journal.record(&mut tx, happened, now).await?;
        self.journal.commit(tx).await?;
        Ok(true)
    }

    /// The user and the session of an access token, good at this moment, on every node.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`] for a token that is none of ours, over, or of a session that ended.
    pub async fn authenticate(&self, token: &str) -> Result<(User, Uuid), Error> {
        let now = self.opener.clock.now();
        let claims = self.opener.tokens.read_access(token, now).ok_or(Error::InvalidToken)?;
        let user = self.store.read().await?.session_user(claims.sid, claims.sub, now).await?;
        Ok((user.ok_or(Error::InvalidToken)?, claims.sid))
    }
}
