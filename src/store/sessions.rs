use sqlx::query_as;
use uuid::Uuid;

use super::{
    Connection, StoreError, Tx,
    connection::{execute, on},
    users::{Row as UserRow, select_user},
};
use crate::domain::{Session, Timestamp, User};

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

impl Tx {
    pub async fn insert_session(&mut self, new: &Session) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO sessions (id, user_id, counter, salt, epoch, user_agent, address, created_at,
            rotated_at, ends_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10)";
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(new.id)
                .bind(new.user_id)
                .bind(new.counter)
                .bind(&new.salt)
                .bind(new.epoch)
                .bind(&new.user_agent)
                .bind(&new.address)
                .bind(new.created_at)
                .bind(new.ends_at)
                .bind(new.expires_at)
        )
        .map(drop)
    }
}
