use sqlx::{QueryBuilder, query_as};
use uuid::Uuid;

use super::{
    Connection, StoreError, Taken, Tx,
    connection::{execute, on},
};
use crate::domain::{Address, Change, Email, LoginId, Mobile, Timestamp, User};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: Uuid,
    email: Option<String>,
    email_verified: bool,
    mobile: Option<String>,
    mobile_verified: bool,
    login_id: Option<String>,
    name: Option<String>,
    locale: Option<String>,
    password_hash: Option<String>,
    epoch: i64,
    disabled_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            email: row.email.map(Email::from_stored),
            email_verified: row.email_verified,
            mobile: row.mobile.map(Mobile::from_stored),
            mobile_verified: row.mobile_verified,
            login_id: row.login_id.map(LoginId::from_stored),
            name: row.name,
            locale: row.locale,
            password_hash: row.password_hash,
            epoch: row.epoch,
            disabled_at: row.disabled_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// `SELECT` of a whole user `u`, from and where as given.
macro_rules! select_user {
    ($($rest:expr),+) => {
        concat!(
            "SELECT u.id, u.email, u.email_verified, u.mobile, u.mobile_verified, u.login_id, u.name, u.locale,
             u.password_hash, u.epoch, u.disabled_at, u.created_at, u.updated_at ",
            $($rest),+
        )
    };
}
pub(super) use select_user;

impl Connection {
    /// Which of the names an account has: a proven address, or the login id.
    pub async fn taken(
        &mut self,
        email: Option<&Email>,
        mobile: Option<&Mobile>,
        login_id: Option<&LoginId>,
    ) -> Result<Option<Taken>, StoreError> {
        const SELECT: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE mobile_verified AND mobile = $1),
            EXISTS (SELECT 1 FROM users WHERE email_verified AND email_key = $2),
            EXISTS (SELECT 1 FROM users WHERE login_id_key = $3)";
        let (mobile, email, login_id): (bool, bool, bool) = on!(self, |db| query_as(SELECT)
            .bind(mobile.map(Mobile::as_str))
            .bind(email.map(Email::key))
            .bind(login_id.map(LoginId::key))
            .fetch_one(db))?;
        let named = [(mobile, Taken::Mobile), (email, Taken::Email), (login_id, Taken::LoginId)];
        Ok(named.into_iter().find_map(|(is_taken, what)| is_taken.then_some(what)))
    }

    pub async fn has_users(&mut self) -> Result<bool, StoreError> {
        const SELECT: &str = "SELECT EXISTS (SELECT 1 FROM users)";
        on!(self, |db| sqlx::query_scalar(SELECT).fetch_one(db))
    }

    /// The account that has proven the address; where none has, the one that has held it longest.
    pub async fn user_by_address(&mut self, address: &Address) -> Result<Option<User>, StoreError> {
        const BY_EMAIL: &str = select_user!(
            "FROM users u WHERE u.email_key = $1 AND (u.email_verified OR u.disabled_at IS NULL)
             ORDER BY u.email_verified DESC, u.created_at, u.id LIMIT 1"
        );
        const BY_MOBILE: &str = select_user!(
            "FROM users u WHERE u.mobile = $1 AND (u.mobile_verified OR u.disabled_at IS NULL)
             ORDER BY u.mobile_verified DESC, u.created_at, u.id LIMIT 1"
        );
        let sql = match address {
            Address::Email(_) => BY_EMAIL,
            Address::Mobile(_) => BY_MOBILE,
        };
        let row: Option<Row> = on!(self, |db| query_as(sql).bind(address.key()).fetch_optional(db))?;
        Ok(row.map(User::from))
    }
}

impl Connection {
    pub async fn user_by_login_id(&mut self, login_id: &LoginId) -> Result<Option<User>, StoreError> {
        const SELECT: &str = select_user!("FROM users u WHERE u.login_id_key = $1");
        let row: Option<Row> = on!(self, |db| query_as(SELECT).bind(login_id.key()).fetch_optional(db))?;
        Ok(row.map(User::from))
    }

    /// Keeps a costlier hash of the same password; nothing where the password changed meanwhile.
    pub async fn rehash_password(&mut self, user: &User, hash: &str) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE users SET password_hash = $3 WHERE id = $1 AND epoch = $2";
        execute!(self, sqlx::query(UPDATE).bind(user.id).bind(user.epoch).bind(hash)).map(drop)
    }
}

impl Connection {
    pub async fn change_profile(
        &mut self,
        user: Uuid,
        name: &Change,
        locale: &Change,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE users SET name = CASE WHEN $3 THEN $4 ELSE name END,
            locale = CASE WHEN $5 THEN $6 ELSE locale END, updated_at = $2 WHERE id = $1";
        let ((new_name, name), (new_locale, locale)) = (name.binds(), locale.binds());
        execute!(self, sqlx::query(UPDATE).bind(user).bind(now).bind(new_name).bind(name).bind(new_locale).bind(locale))
            .map(drop)
    }
}

impl Tx {
    /// Keeps the account from being deleted till the transaction ends; `false` where there is none.
    pub async fn hold_user(&mut self, id: Uuid) -> Result<bool, StoreError> {
        let sql = if self.is_embedded() {
            "SELECT id FROM users WHERE id = $1"
        } else {
            "SELECT id FROM users WHERE id = $1 FOR KEY SHARE"
        };
        let held: Option<Uuid> = on!(self, |db| sqlx::query_scalar(sql).bind(id).fetch_optional(db))?;
        Ok(held.is_some())
    }

    /// Replaces the password and tells the new epoch; `None` where the account changed meanwhile.
    pub async fn change_password(
        &mut self,
        user: &User,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        const UPDATE: &str = "UPDATE users SET password_hash = $3, epoch = epoch + 1, updated_at = $4
            WHERE id = $1 AND epoch = $2 RETURNING epoch";
        on!(self, |db| sqlx::query_scalar(UPDATE)
            .bind(user.id)
            .bind(user.epoch)
            .bind(hash)
            .bind(now)
            .fetch_optional(db))
    }

    /// Makes the address the account's proven one, and tells the new epoch; `None` where the account
    /// changed meanwhile, [`StoreError::Taken`] where another has proven it.
    pub async fn change_contact(
        &mut self,
        user: Uuid,
        epoch: i64,
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        const EMAIL: &str = "UPDATE users SET email = $4, email_key = $5, email_verified = true, epoch = epoch + 1,
            updated_at = $3 WHERE id = $1 AND epoch = $2 AND disabled_at IS NULL RETURNING epoch";
        const MOBILE: &str = "UPDATE users SET mobile = $4, mobile_verified = true, epoch = epoch + 1,
            updated_at = $3 WHERE id = $1 AND epoch = $2 AND disabled_at IS NULL RETURNING epoch";
        match address {
            Address::Email(email) => on!(self, |db| sqlx::query_scalar(EMAIL)
                .bind(user)
                .bind(epoch)
                .bind(now)
                .bind(email.as_str())
                .bind(email.key())
                .fetch_optional(db)),
            Address::Mobile(mobile) => on!(self, |db| sqlx::query_scalar(MOBILE)
                .bind(user)
                .bind(epoch)
                .bind(now)
                .bind(mobile.as_str())
                .fetch_optional(db)),
        }
    }

    /// Removes the account and all that names it; its sessions go with it. `false` where it changed
    /// meanwhile.
    pub async fn delete_user(&mut self, user: &User) -> Result<bool, StoreError> {
        const USER: &str = "DELETE FROM users WHERE id = $1 AND epoch = $2";
        const VERIFICATIONS: &str = "DELETE FROM verifications WHERE user_id = $1
            OR (user_id IS NULL AND destination IN ($2, $3) AND NOT EXISTS
            (SELECT 1 FROM registrations r WHERE r.verification_id = verifications.id)) RETURNING id";
        const BY_VERIFICATION: &str = "DELETE FROM outbox WHERE verification_id = $1";
        const BY_USER: &str = "DELETE FROM outbox WHERE user_id = $1";
        if execute!(self, sqlx::query(USER).bind(user.id).bind(user.epoch))? == 0 {
            return Ok(false);
        }
        // What was asked for a proven address by whomever names the person; a pending registration of
        // an unproven one is somebody else's.
        let proven: Vec<String> = user.proven().iter().map(Address::key).collect();
        let gone: Vec<Uuid> = on!(self, |db| sqlx::query_scalar(VERIFICATIONS)
            .bind(user.id)
            .bind(proven.first())
            .bind(proven.get(1))
            .fetch_all(db))?;
        for verification in gone {
            execute!(self, sqlx::query(BY_VERIFICATION).bind(verification))?;
        }
        execute!(self, sqlx::query(BY_USER).bind(user.id))?;
        Ok(true)
    }

    /// Waits for whoever is proving the same name, and then fails with [`StoreError::Taken`].
    pub async fn insert_user(&mut self, new: &User) -> Result<(), StoreError> {
        self.insert_users(std::slice::from_ref(new)).await
    }

    /// The same, of at most some thousand at once.
    pub async fn insert_users(&mut self, new: &[User]) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO users (id, email, email_key, email_verified, mobile, mobile_verified,
            login_id, login_id_key, name, locale, password_hash, epoch, disabled_at, created_at, updated_at) ";
        on!(self, |db| async {
            let mut insert = QueryBuilder::new(INSERT);
            insert.push_values(new, |mut row, user| {
                row.push_bind(user.id)
                    .push_bind(user.email.as_ref().map(Email::as_str))
                    .push_bind(user.email.as_ref().map(Email::key))
                    .push_bind(user.email_verified)
                    .push_bind(user.mobile.as_ref().map(Mobile::as_str))
                    .push_bind(user.mobile_verified)
                    .push_bind(user.login_id.as_ref().map(LoginId::as_str))
                    .push_bind(user.login_id.as_ref().map(LoginId::key))
                    .push_bind(&user.name)
                    .push_bind(&user.locale)
                    .push_bind(&user.password_hash)
                    .push_bind(user.epoch)
                    .push_bind(user.disabled_at)
                    .push_bind(user.created_at)
                    .push_bind(user.updated_at);
            });
            insert.build().execute(db).await.map(|done| done.rows_affected())
        })
        .map(drop)
    }
}
