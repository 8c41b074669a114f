use sqlx::query_as;
use uuid::Uuid;

use super::{
    Connection, StoreError, Taken, Tx,
    connection::{execute, on},
};
use crate::domain::{Address, Email, LoginId, Mobile, Registration, Timestamp};

/// A registration about to become an account, and what of it another account has meanwhile.
#[derive(Debug, Clone)]
pub struct Activation {
    pub registration: Registration,
    pub taken: Option<Taken>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    verification_id: Uuid,
    destination: String,
    email: Option<String>,
    mobile: Option<String>,
    login_id: Option<String>,
    name: Option<String>,
    locale: Option<String>,
    password_hash: String,
    client: Vec<u8>,
    last_code_at: Timestamp,
    expires_at: Timestamp,
    created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ActivationRow {
    #[sqlx(flatten)]
    registration: Row,
    email_taken: bool,
    mobile_taken: bool,
    login_id_taken: bool,
}

impl From<Row> for Registration {
    fn from(row: Row) -> Self {
        let email = row.email.map(Email::from_stored);
        let mobile = row.mobile.map(Mobile::from_stored);
        let destination = match (&mobile, &email) {
            (Some(mobile), _) => Address::Mobile(mobile.clone()),
            (None, Some(email)) => Address::Email(email.clone()),
            (None, None) => Address::from_stored(row.destination),
        };
        Self {
            id: row.id,
            verification_id: row.verification_id,
            destination,
            email,
            mobile,
            login_id: row.login_id.map(LoginId::from_stored),
            name: row.name,
            locale: row.locale,
            password_hash: row.password_hash,
            client: row.client,
            last_code_at: row.last_code_at,
            expires_at: row.expires_at,
            created_at: row.created_at,
        }
    }
}

macro_rules! select {
    ($more:literal, $where:literal) => {
        concat!(
            "SELECT r.id, r.verification_id, r.destination, r.email, r.mobile, r.login_id, r.name, r.locale,
             r.password_hash, r.client, r.last_code_at, r.expires_at, r.created_at",
            $more,
            " FROM registrations r WHERE ",
            $where
        )
    };
}

impl Connection {
    /// Those pending for a destination, the newest first.
    pub async fn pending(&mut self, destination: &str, now: Timestamp) -> Result<Vec<Registration>, StoreError> {
        const SELECT: &str =
            select!("", "r.destination = $1 AND r.expires_at > $2 ORDER BY r.created_at DESC, r.id DESC");
        let rows: Vec<Row> = on!(self, |db| query_as(SELECT).bind(destination).bind(now).fetch_all(db))?;
        Ok(rows.into_iter().map(Registration::from).collect())
    }

    pub async fn registration(
        &mut self,
        verification: Uuid,
        now: Timestamp,
    ) -> Result<Option<Registration>, StoreError> {
        const SELECT: &str = select!("", "r.verification_id = $1 AND r.expires_at > $2");
        let row: Option<Row> = on!(self, |db| query_as(SELECT).bind(verification).bind(now).fetch_optional(db))?;
        Ok(row.map(Registration::from))
    }

    /// The newest that names the address beside its destination.
    pub async fn newest_naming(
        &mut self,
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<Registration>, StoreError> {
        const BY_EMAIL: &str =
            select!("", "r.email_key = $1 AND r.expires_at > $2 ORDER BY r.created_at DESC, r.id DESC LIMIT 1");
        const BY_MOBILE: &str =
            select!("", "r.mobile = $1 AND r.expires_at > $2 ORDER BY r.created_at DESC, r.id DESC LIMIT 1");
        let sql = match address {
            Address::Email(_) => BY_EMAIL,
            Address::Mobile(_) => BY_MOBILE,
        };
        let row: Option<Row> = on!(self, |db| query_as(sql).bind(address.key()).bind(now).fetch_optional(db))?;
        Ok(row.map(Registration::from))
    }
}

impl Tx {
    pub async fn activation(&mut self, verification: Uuid, now: Timestamp) -> Result<Option<Activation>, StoreError> {
        const SELECT: &str = select!(
            ", EXISTS (SELECT 1 FROM users u WHERE u.email_verified AND u.email_key = r.email_key) AS email_taken,
             EXISTS (SELECT 1 FROM users u WHERE u.mobile_verified AND u.mobile = r.mobile) AS mobile_taken,
             EXISTS (SELECT 1 FROM users u WHERE u.login_id_key = r.login_id_key) AS login_id_taken",
            "r.verification_id = $1 AND r.expires_at > $2"
        );
        let row: Option<ActivationRow> =
            on!(self, |db| query_as(SELECT).bind(verification).bind(now).fetch_optional(db))?;
        Ok(row.map(|row| Activation {
            taken: [
                (row.mobile_taken, Taken::Mobile),
                (row.email_taken, Taken::Email),
                (row.login_id_taken, Taken::LoginId),
            ]
            .into_iter()
            .find_map(|(is_taken, what)| is_taken.then_some(what)),
            registration: row.registration.into(),
        }))
    }

    pub async fn insert_registration(&mut self, new: &Registration) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO registrations (id, verification_id, destination, email, email_key, mobile,
            login_id, login_id_key, name, locale, password_hash, client, last_code_at, expires_at, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(new.id)
                .bind(new.verification_id)
                .bind(new.destination.key())
                .bind(new.email.as_ref().map(Email::as_str))
                .bind(new.email.as_ref().map(Email::key))
                .bind(new.mobile.as_ref().map(Mobile::as_str))
                .bind(new.login_id.as_ref().map(LoginId::as_str))
                .bind(new.login_id.as_ref().map(LoginId::key))
                .bind(&new.name)
                .bind(&new.locale)
                .bind(&new.password_hash)
                .bind(&new.client)
                .bind(new.last_code_at)
                .bind(new.expires_at)
                .bind(new.created_at)
        )
        .map(drop)
    }

    /// Takes over new details, for a new code under the same ids; `false` where it is gone.
    pub async fn renew_registration(&mut self, renewed: &Registration) -> Result<bool, StoreError> {
        const UPDATE: &str = "UPDATE registrations SET email = $2, email_key = $3, mobile = $4, login_id = $5,
            login_id_key = $6, name = $7, locale = $8, client = $9, last_code_at = $10, expires_at = $11 WHERE id = $1";
        let done = execute!(
            self,
            sqlx::query(UPDATE)
                .bind(renewed.id)
                .bind(renewed.email.as_ref().map(Email::as_str))
                .bind(renewed.email.as_ref().map(Email::key))
                .bind(renewed.mobile.as_ref().map(Mobile::as_str))
                .bind(renewed.login_id.as_ref().map(LoginId::as_str))
                .bind(renewed.login_id.as_ref().map(LoginId::key))
                .bind(&renewed.name)
                .bind(&renewed.locale)
                .bind(&renewed.client)
                .bind(renewed.last_code_at)
                .bind(renewed.expires_at)
        )?;
        Ok(done == 1)
    }

    /// Ends all that is pending for a destination, and tells the ids: of two that try, one gets them.
    pub async fn end_registrations(&mut self, destination: &str) -> Result<Vec<Uuid>, StoreError> {
        const DELETE: &str = "DELETE FROM registrations WHERE destination = $1 RETURNING id";
        on!(self, |db| sqlx::query_scalar(DELETE).bind(destination).fetch_all(db))
    }

    /// Removes one that is over, so that its password may register anew.
    pub async fn remove_expired(&mut self, destination: &str, now: Timestamp) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM registrations WHERE destination = $1 AND expires_at <= $2";
        execute!(self, sqlx::query(DELETE).bind(destination).bind(now)).map(drop)
    }
}
