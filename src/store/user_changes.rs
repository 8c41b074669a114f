//! What only operators do with accounts.

use sqlx::query_as;
use uuid::Uuid;

use super::{
    Connection, Store, StoreError, Tx,
    connection::{execute, on},
    users::{Row, select_user},
};
use crate::domain::{Email, LoginId, Mobile, Timestamp, User};

/// Those with a proven email, a proven mobile or a login id in a list, which is bound as JSON.
macro_rules! users_in {
    ($list:literal) => {
        [
            select_user!("FROM users u WHERE u.email_verified AND u.email_key IN (", $list, ")"),
            select_user!("FROM users u WHERE u.mobile_verified AND u.mobile IN (", $list, ")"),
            select_user!("FROM users u WHERE u.login_id_key IN (", $list, ")"),
        ]
    };
}

impl Store {
    pub async fn users_named(
        &self,
        emails: &[String],
        mobiles: &[String],
        login_ids: &[String],
    ) -> Result<Vec<User>, StoreError> {
        let selects = if self.is_embedded() {
            users_in!("SELECT value FROM json_each($1)")
        } else {
            users_in!("SELECT json_array_elements_text($1::json)")
        };
        let (mut users, mut reading) = (Vec::new(), self.read().await?);
        for (select, list) in selects.into_iter().zip([emails, mobiles, login_ids]) {
            let list = serde_json::to_string(list).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let rows: Vec<Row> = on!(reading, |db| query_as(select).bind(&list).fetch_all(db))?;
            users.extend(rows.into_iter().map(User::from));
        }
        Ok(users)
    }
}

impl Connection {
    /// The next accounts behind this id, in the order of their ids.
    pub async fn users_after(&mut self, id: Uuid, most: i64) -> Result<Vec<User>, StoreError> {
        const SELECT: &str = select_user!("FROM users u WHERE u.id > $1 ORDER BY u.id LIMIT $2");
        let rows: Vec<Row> = on!(self, |db| query_as(SELECT).bind(id).bind(most).fetch_all(db))?;
        Ok(rows.into_iter().map(User::from).collect())
    }

    pub async fn enable_user(&mut self, user: Uuid, now: Timestamp) -> Result<(), StoreError> {
        const UPDATE: &str =
            "UPDATE users SET disabled_at = NULL, updated_at = $2 WHERE id = $1 AND disabled_at IS NOT NULL";
        execute!(self, sqlx::query(UPDATE).bind(user).bind(now)).map(drop)
    }
}

impl Tx {
    /// Keeps an account out, and ends its sessions and codes by a step of its epoch; `false` where it
    /// is out already.
    pub async fn disable_user(&mut self, user: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        const UPDATE: &str = "UPDATE users SET disabled_at = $2, epoch = epoch + 1, updated_at = $2
            WHERE id = $1 AND disabled_at IS NULL";
        Ok(execute!(self, sqlx::query(UPDATE).bind(user).bind(now))? == 1)
    }

    /// Gives an account the values that are told, and keeps the others; with other addresses its epoch
    /// steps. Tells the epoch; `None` where it moved meanwhile.
    pub async fn update_user(
        &mut self,
        there: &User,
        told: &User,
        steps: bool,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        const UPDATE: &str = "UPDATE users SET email = COALESCE($4, email), email_key = COALESCE($5, email_key),
            email_verified = (email_verified OR $6), mobile = COALESCE($7, mobile),
            mobile_verified = (mobile_verified OR $8), login_id = COALESCE($9, login_id),
            login_id_key = COALESCE($10, login_id_key), name = COALESCE($11, name), locale = COALESCE($12, locale),
            epoch = epoch + $13, updated_at = $3 WHERE id = $1 AND epoch = $2 RETURNING epoch";
        on!(self, |db| sqlx::query_scalar(UPDATE)
            .bind(there.id)
            .bind(there.epoch)
            .bind(now)
            .bind(told.email.as_ref().map(Email::as_str))
            .bind(told.email.as_ref().map(Email::key))
            .bind(told.email_verified)
            .bind(told.mobile.as_ref().map(Mobile::as_str))
            .bind(told.mobile_verified)
            .bind(told.login_id.as_ref().map(LoginId::as_str))
            .bind(told.login_id.as_ref().map(LoginId::key))
            .bind(&told.name)
            .bind(&told.locale)
            .bind(i64::from(steps))
            .fetch_optional(db))
    }
}
