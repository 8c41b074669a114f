use sqlx::query_as;
use uuid::Uuid;

use super::{
    Connection, StoreError, Tx,
    connection::{execute, on},
    users::{Row as UserRow, select_user},
};
use crate::domain::{ListedSession, RefreshToken, Session, Timestamp, User};

impl Connection {
    /// The user of a session that is good now: not revoked, not over, opened under the user's epoch.
    pub async fn session_user(
        &mut self,
        session: Uuid,
        user: Uuid,
        now: Timestamp,
    ) -> Result<Option<User>, StoreError> {
        const SELECT: &str = select_user!(
            "FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = $1 AND u.id = $2 AND s.revoked_at IS NULL AND s.ends_at > $3 AND s.expires_at > $3
             AND s.epoch = u.epoch AND u.disabled_at IS NULL"
        );
        let row: Option<UserRow> =
            on!(self, |db| query_as(SELECT).bind(session).bind(user).bind(now).fetch_optional(db))?;
        Ok(row.map(User::from))
    }
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    id: Uuid,
    user_agent: Option<String>,
    address: Option<String>,
    created_at: Timestamp,
    last_used_at: Timestamp,
}

impl From<ListedRow> for ListedSession {
    fn from(row: ListedRow) -> Self {
        let ListedRow { id, user_agent, address, created_at, last_used_at } = row;
        Self { id, user_agent, address, created_at, last_used_at }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    user_id: Uuid,
    counter: i64,
    salt: Vec<u8>,
    epoch: i64,
    by_code: bool,
    user_agent: Option<String>,
    address: Option<String>,
    created_at: Timestamp,
    rotated_at: Timestamp,
    ends_at: Timestamp,
    expires_at: Timestamp,
}

impl From<Row> for (Session, Timestamp) {
    fn from(row: Row) -> Self {
        let session = Session {
            id: row.id,
            user_id: row.user_id,
            counter: row.counter,
            salt: row.salt,
            epoch: row.epoch,
            by_code: row.by_code,
            user_agent: row.user_agent,
            address: row.address,
            created_at: row.created_at,
            ends_at: row.ends_at,
            expires_at: row.expires_at,
        };
        (session, row.rotated_at)
    }
}

impl Connection {
    /// A session that is good now, and when its token was last replaced.
    pub async fn session(&mut self, id: Uuid, now: Timestamp) -> Result<Option<(Session, Timestamp)>, StoreError> {
        const SELECT: &str = "SELECT s.id, s.user_id, s.counter, s.salt, s.epoch, s.by_code, s.user_agent, s.address, s.created_at,
            s.rotated_at, s.ends_at, s.expires_at FROM sessions s JOIN users u ON u.id = s.user_id
            WHERE s.id = $1 AND s.revoked_at IS NULL AND s.ends_at > $2 AND s.epoch = u.epoch AND u.disabled_at IS NULL";
        let row: Option<Row> = on!(self, |db| query_as(SELECT).bind(id).bind(now).fetch_optional(db))?;
        Ok(row.map(Into::into))
    }

    pub async fn user(&mut self, id: Uuid) -> Result<Option<User>, StoreError> {
        const SELECT: &str = select_user!("FROM users u WHERE u.id = $1");
        let row: Option<UserRow> = on!(self, |db| query_as(SELECT).bind(id).fetch_optional(db))?;
        Ok(row.map(User::from))
    }

    /// Those of the user that are good now, the newest first.
    pub async fn sessions_of(&mut self, user: &User, now: Timestamp) -> Result<Vec<ListedSession>, StoreError> {
        const SELECT: &str = "SELECT id, user_agent, address, created_at, rotated_at AS last_used_at FROM sessions
            WHERE user_id = $1 AND epoch = $2 AND revoked_at IS NULL AND ends_at > $3
            ORDER BY created_at DESC, id DESC";
        let rows: Vec<ListedRow> =
            on!(self, |db| query_as(SELECT).bind(user.id).bind(user.epoch).bind(now).fetch_all(db))?;
        Ok(rows.into_iter().map(ListedSession::from).collect())
    }

    /// Replaces the session's token, if it is this one and good; of two who try, one does.
    pub async fn rotate_session(
        &mut self,
        token: &RefreshToken,
        now: Timestamp,
        idle_end: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        const UPDATE: &str = "UPDATE sessions SET counter = counter + 1, rotated_at = $3,
            ends_at = CASE WHEN expires_at < $5 THEN expires_at ELSE $5 END
            WHERE id = $1 AND counter = $2 AND salt = $4 AND revoked_at IS NULL AND ends_at > $3
            AND EXISTS (SELECT 1 FROM users u WHERE u.id = user_id AND u.epoch = sessions.epoch AND u.disabled_at IS NULL)
            RETURNING id, user_id, counter, salt, epoch, by_code, user_agent, address, created_at, rotated_at,
            ends_at, expires_at";
        let row: Option<Row> = on!(self, |db| query_as(UPDATE)
            .bind(token.session)
            .bind(token.counter)
            .bind(now)
            .bind(token.salt.as_slice())
            .bind(idle_end)
            .fetch_optional(db))?;
        Ok(row.map(|row| <(Session, Timestamp)>::from(row).0))
    }
}

macro_rules! insert_session {
    ($lock:literal) => {
        concat!(
            "INSERT INTO sessions (id, user_id, counter, salt, epoch, by_code, user_agent, address, created_at,
             rotated_at, ends_at, expires_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11
             FROM users WHERE id = $2 AND epoch = $5 AND disabled_at IS NULL",
            $lock
        )
    };
}

impl Tx {
    /// Ends a session and tells its user; `None` where it is none of this user's, or ended already.
    pub async fn revoke_session(
        &mut self,
        id: Uuid,
        user: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Option<Uuid>, StoreError> {
        const UPDATE: &str = "UPDATE sessions SET revoked_at = $3
            WHERE id = $1 AND user_id = COALESCE($2, user_id) AND revoked_at IS NULL AND ends_at > $3 RETURNING user_id";
        on!(self, |db| sqlx::query_scalar(UPDATE).bind(id).bind(user).bind(now).fetch_optional(db))
    }

    /// Ends all that the user has; codes under way live on, so this is no step of the epoch.
    pub async fn end_all_sessions(&mut self, user: Uuid, now: Timestamp) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
        execute!(self, sqlx::query(UPDATE).bind(user).bind(now)).map(drop)
    }

    /// Lets one session, or all that are good, live on under the user's new epoch.
    pub async fn take_sessions_along(&mut self, user: Uuid, only: Option<Uuid>, epoch: i64) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE sessions SET epoch = $3
            WHERE user_id = $1 AND id = COALESCE($2, id) AND epoch = $3 - 1 AND revoked_at IS NULL";
        execute!(self, sqlx::query(UPDATE).bind(user).bind(only).bind(epoch)).map(drop)
    }

    /// An account keeps those of its sessions that are good and were opened last. The others' rows go,
    /// and which of them were good is told.
    pub async fn drop_oldest_sessions(
        &mut self,
        user: &User,
        kept: i64,
        now: Timestamp,
    ) -> Result<Vec<Uuid>, StoreError> {
        const DELETE: &str = "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN
            (SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND epoch = $3 AND ends_at > $4
            ORDER BY created_at DESC, id DESC LIMIT $2)
            RETURNING id, revoked_at IS NULL AND epoch = $3 AND ends_at > $4";
        let gone: Vec<(Uuid, bool)> =
            on!(self, |db| query_as(DELETE).bind(user.id).bind(kept).bind(user.epoch).bind(now).fetch_all(db))?;
        Ok(gone.into_iter().filter(|(_, was_good)| *was_good).map(|(id, _)| id).collect())
    }

    /// `false` where the user has changed since: who was let in then is not let in now. A change waits
    /// for the session and sees it, or is waited for; a void one is told by its epoch all the same.
    pub async fn insert_session(&mut self, new: &Session) -> Result<bool, StoreError> {
        let sql = if self.is_embedded() { insert_session!("") } else { insert_session!(" FOR SHARE") };
        let inserted = execute!(
            self,
            sqlx::query(sql)
                .bind(new.id)
                .bind(new.user_id)
                .bind(new.counter)
                .bind(&new.salt)
                .bind(new.epoch)
                .bind(new.by_code)
                .bind(&new.user_agent)
                .bind(&new.address)
                .bind(new.created_at)
                .bind(new.ends_at)
                .bind(new.expires_at)
        )?;
        Ok(inserted == 1)
    }
}
