//! Sessions.

use uuid::Uuid;

use super::{
    Reader, Sql, StoreError, Tx, Writer,
    connection::{execute, fetch, write_once},
    dialect::statements,
    rows::read_by_row,
};
use crate::domain::{DestinationHash, RefreshToken, Session, SessionSummary, Timestamp, User};

/// A valid session with its account.
#[derive(Debug, Clone)]
pub struct ValidSession {
    /// The session.
    pub session: Session,
    /// Its account.
    pub user: User,
    /// When its token was last replaced.
    pub rotated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ValidSessionRow {
    session_id: Uuid,
    counter: i64,
    used_counter: i64,
    salt: Vec<u8>,
    opened_by: Option<Vec<u8>>,
    user_agent: Option<String>,
    ip: Option<String>,
    opened_at: Timestamp,
    rotated_at: Timestamp,
    ends_at: Timestamp,
    expires_at: Timestamp,
    #[sqlx(flatten)]
    user: User,
}

read_by_row!(ValidSession, ValidSessionRow);

impl From<ValidSessionRow> for ValidSession {
    fn from(row: ValidSessionRow) -> Self {
        let user = row.user;
        let session = Session {
            id: row.session_id,
            user_id: user.id,
            counter: row.counter,
            used_counter: row.used_counter,
            salt: row.salt,
            epoch: user.epoch,
            opened_by: row.opened_by.as_deref().and_then(DestinationHash::from_stored),
            user_agent: row.user_agent,
            ip: row.ip,
            created_at: row.opened_at,
            ends_at: row.ends_at,
            expires_at: row.expires_at,
        };
        Self { session, user, rotated_at: row.rotated_at }
    }
}

/// The user of a valid session, and which of the session's tokens were seen in use.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SessionUser {
    /// The account.
    #[sqlx(flatten)]
    pub user: User,
    /// The session's counter.
    pub counter: i64,
    /// The last counter whose tokens were seen in use.
    pub used_counter: i64,
}

#[derive(sqlx::FromRow)]
struct SummaryRow {
    id: Uuid,
    user_agent: Option<String>,
    ip: Option<String>,
    created_at: Timestamp,
    last_used_at: Timestamp,
}

read_by_row!(SessionSummary, SummaryRow);

impl From<SummaryRow> for SessionSummary {
    fn from(row: SummaryRow) -> Self {
        let SummaryRow { id, user_agent, ip, created_at, last_used_at } = row;
        Self { id, user_agent, ip, created_at, last_used_at }
    }
}

statements! {
    SELECT_USER = "SELECT ", USER, ", s.counter, s.used_counter FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = $1 AND u.id = $2 AND s.revoked_at IS NULL AND s.ends_at > $3 AND s.expires_at > $3
        AND s.epoch = u.epoch AND u.disabled_at IS NULL";
    SELECT = "SELECT ", VALID_SESSION, " FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = $1 AND s.revoked_at IS NULL AND s.ends_at > $2 AND s.epoch = u.epoch AND u.disabled_at IS NULL";
    SELECT_SUMMARIES = "SELECT id, user_agent, ip, created_at, rotated_at AS last_used_at FROM sessions
        WHERE user_id = $1 AND epoch = $2 AND revoked_at IS NULL AND ends_at > $3 ORDER BY created_at DESC, id DESC";
    ROTATE = "UPDATE sessions AS s SET counter = counter + 1, rotated_at = $3,
        ends_at = CASE WHEN expires_at < $5 THEN expires_at ELSE $5 END FROM users u
        WHERE s.id = $1 AND s.counter = $2 AND s.salt = $4 AND s.revoked_at IS NULL AND s.ends_at > $3
        AND u.id = s.user_id AND u.epoch = s.epoch AND u.disabled_at IS NULL", RETURNING_VALID_SESSION;
    MARK_USED = "UPDATE sessions SET used_counter = $2 WHERE id = $1 AND counter = $2 AND used_counter < $2";
    REVOKE = "UPDATE sessions SET revoked_at = $3
        WHERE id = $1 AND user_id = COALESCE($2, user_id) AND revoked_at IS NULL AND ends_at > $3 RETURNING user_id";
    REVOKE_ALL = "UPDATE sessions SET revoked_at = $2
        WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $3";
    MOVE_TO_EPOCH = "UPDATE sessions SET epoch = $3
        WHERE user_id = $1 AND id = COALESCE($2, id) AND epoch = $3 - 1 AND revoked_at IS NULL";
    DELETE_OLDEST = "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN
        (SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND epoch = $3 AND ends_at > $4
        ORDER BY created_at DESC, id DESC LIMIT $2)
        RETURNING id, revoked_at IS NULL AND epoch = $3 AND ends_at > $4";
    INSERT_OF_LOCKED = "INSERT INTO sessions (", SESSION, ")
        SELECT $1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11 WHERE ", HAS_ROOM;
    INSERT = "INSERT INTO sessions (", SESSION, ") SELECT $1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11
        FROM users WHERE id = $2 AND epoch = $5 AND disabled_at IS NULL AND ", HAS_ROOM, FOR_SHARE;
}

impl Reader {
    /// The user of a valid session: not revoked, not ended, opened under the user's present epoch.
    pub async fn session_user(
        &mut self,
        session: Uuid,
        user: Uuid,
        now: Timestamp,
    ) -> Result<Option<SessionUser>, StoreError> {
        fetch!(fetch_optional, self, SELECT_USER, [session, user, now])
    }

    /// A valid session.
    pub async fn session(&mut self, id: Uuid, now: Timestamp) -> Result<Option<ValidSession>, StoreError> {
        fetch!(fetch_optional, self, SELECT, [id, now])
    }

    /// The valid sessions of the user, the newest first.
    pub async fn sessions_of(&mut self, user: &User, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        fetch!(fetch_all, self, SELECT_SUMMARIES, [user.id, user.epoch, now])
    }
}

impl Writer {
    /// Replaces the session's token, if it is this one and valid; of two calls that try, one succeeds.
    pub async fn rotate_session(
        &mut self,
        token: &RefreshToken,
        now: Timestamp,
        idle_end: Timestamp,
    ) -> Result<Option<ValidSession>, StoreError> {
        fetch!(fetch_optional, self, ROTATE, [token.session, token.counter, now, token.salt.as_slice(), idle_end])
    }

    /// Notes that tokens of the session's present counter are in use; written once for each counter.
    pub async fn mark_session_used(&mut self, session: Uuid, counter: i64) -> Result<(), StoreError> {
        execute!(self, MARK_USED, [session, counter]).map(drop)
    }
}

impl Tx {
    /// Revokes a session and returns its user; `None` if it is not this user's, or has ended already.
    pub async fn revoke_session(
        &mut self,
        id: Uuid,
        user: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Option<Uuid>, StoreError> {
        let user: Option<(Uuid,)> = fetch!(fetch_optional, self, REVOKE, [id, user, now])?;
        Ok(user.map(|(user,)| user))
    }

    /// Revokes all sessions of the user, but for one if it is given. Codes under way stay valid, so this does not step
    /// the epoch.
    pub async fn revoke_all_sessions(
        &mut self,
        user: Uuid,
        kept: Option<Uuid>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(self, REVOKE_ALL, [user, now, kept]).map(drop)
    }

    /// Keeps one session, or all valid ones, alive under the user's new epoch.
    pub async fn move_sessions_to_epoch(
        &mut self,
        user: Uuid,
        only: Option<Uuid>,
        epoch: i64,
    ) -> Result<(), StoreError> {
        execute!(self, MOVE_TO_EPOCH, [user, only, epoch]).map(drop)
    }

    /// Deletes all but the newest valid sessions, and returns which of the deleted ones were valid.
    pub async fn delete_oldest_sessions(
        &mut self,
        user: &User,
        kept: i64,
        now: Timestamp,
    ) -> Result<Vec<Uuid>, StoreError> {
        let deleted: Vec<(Uuid, bool)> = fetch!(fetch_all, self, DELETE_OLDEST, [user.id, kept, user.epoch, now])?;
        Ok(deleted.into_iter().filter(|(_, was_valid)| *was_valid).map(|(id, _)| id).collect())
    }

    /// Inserts a session of an account that this transaction left alone, which needs to be as it was read, with fewer
    /// sessions than `most`, ended ones included: who was authenticated then may not be now. A change waits for the session and sees
    /// it, or is waited for; the epoch tells a dead one all the same.
    pub fn insert_session(&mut self, new: &Session, most: i64) -> Result<(), StoreError> {
        self.insert_session_by(INSERT, new, most)
    }

    /// Inserts a session of an account that this transaction has inserted or locked.
    pub fn insert_session_of_locked(&mut self, new: &Session, most: i64) -> Result<(), StoreError> {
        self.insert_session_by(INSERT_OF_LOCKED, new, most)
    }

    fn insert_session_by(&mut self, statement: Sql, new: &Session, most: i64) -> Result<(), StoreError> {
        write_once!(
            self,
            Row,
            statement,
            [
                new.id,
                new.user_id,
                new.counter,
                &new.salt,
                new.epoch,
                new.opened_by.as_ref().map(DestinationHash::as_bytes),
                &new.user_agent,
                &new.ip,
                new.created_at,
                new.ends_at,
                new.expires_at,
                most,
            ]
        )
    }
}
