//! Pending registrations.

use uuid::Uuid;

use super::{
    Reader, StoreError, Tx,
    connection::{fetch, write_once},
    dialect::statements,
    identifiers::{IdentifierColumns, IdentifierRow, TakenRow},
    rows::read_by_row,
};
use crate::domain::{Address, Identifiers, JsonObject, Registration, TakenIdentifier, Timestamp};

/// A registration about to become an account, and the identifier that another account has meanwhile.
#[derive(Debug, Clone)]
pub struct Activation {
    /// The registration.
    pub registration: Registration,
    /// The identifier that another account has.
    pub taken: Option<TakenIdentifier>,
}

#[derive(sqlx::FromRow)]
struct RegistrationRow {
    id: Uuid,
    verification_id: Uuid,
    destination_key: String,
    #[sqlx(flatten)]
    identifiers: IdentifierRow,
    name: Option<String>,
    locale: Option<String>,
    data: Option<String>,
    password_hash: Option<String>,
    client_hash: Vec<u8>,
    last_code_at: Timestamp,
    expires_at: Timestamp,
    created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ActivationRow {
    #[sqlx(flatten)]
    registration: Registration,
    #[sqlx(flatten)]
    taken: TakenRow,
}

read_by_row!(Registration, RegistrationRow);

impl From<RegistrationRow> for Registration {
    fn from(row: RegistrationRow) -> Self {
        let identifiers = Identifiers::from(row.identifiers);
        Self {
            id: row.id,
            verification_id: row.verification_id,
            identifiers: match identifiers.destination() {
                Some(_) => identifiers,
                None => Address::from_stored(row.destination_key).into(),
            },
            name: row.name,
            locale: row.locale,
            data: JsonObject::from_stored(row.data.as_deref()),
            password_hash: row.password_hash,
            client_hash: row.client_hash,
            last_code_at: row.last_code_at,
            expires_at: row.expires_at,
            created_at: row.created_at,
        }
    }
}

statements! {
    SELECT_PENDING = "SELECT ", REGISTRATION, " FROM registrations r
        WHERE r.destination_key = $1 AND r.expires_at > $2 ORDER BY r.created_at DESC, r.id DESC";
    SELECT = "SELECT ", REGISTRATION, " FROM registrations r WHERE r.verification_id = $1 AND r.expires_at > $2";
    SELECT_NEWEST_WITH_EMAIL = "SELECT ", REGISTRATION, " FROM registrations r
        WHERE r.email_key = $1 AND r.expires_at > $2 ORDER BY r.created_at DESC, r.id DESC LIMIT 1";
    SELECT_NEWEST_WITH_MOBILE = "SELECT ", REGISTRATION, " FROM registrations r
        WHERE r.mobile = $1 AND r.expires_at > $2 ORDER BY r.created_at DESC, r.id DESC LIMIT 1";
    SELECT_ACTIVATION = "SELECT ", REGISTRATION, ",
        EXISTS (SELECT 1 FROM users u WHERE u.email_key = r.email_key
        AND (u.email_verified OR u.email_suspended_until > $2)) AS email_taken,
        EXISTS (SELECT 1 FROM users u WHERE u.mobile = r.mobile
        AND (u.mobile_verified OR u.mobile_suspended_until > $2)) AS mobile_taken,
        EXISTS (SELECT 1 FROM users u WHERE u.login_id_key = r.login_id_key) AS login_id_taken
        FROM registrations r WHERE r.verification_id = $1 AND r.expires_at > $2";
    INSERT = "INSERT INTO registrations (id, verification_id, destination_key, email, email_key, mobile, login_id,
        login_id_key, name, locale, data, password_hash, client_hash, last_code_at, expires_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    RENEW = "UPDATE registrations SET email = $2, email_key = $3, mobile = $4, login_id = $5, login_id_key = $6,
        name = $7, locale = $8, data = $12, client_hash = $9, last_code_at = $10, expires_at = $11 WHERE id = $1";
    EXTEND = "UPDATE registrations SET last_code_at = $2, expires_at = $3 WHERE verification_id = $1";
    DELETE = "DELETE FROM registrations WHERE destination_key = $1 RETURNING id";
    DELETE_ONE = "DELETE FROM registrations WHERE id = $1";
    DELETE_OTHERS = "DELETE FROM registrations WHERE destination_key = $1 AND id <> $2";
    DELETE_EXPIRED = "DELETE FROM registrations WHERE destination_key = $1 AND expires_at <= $2";
}

impl Reader {
    /// The pending registrations of a destination, the newest first.
    pub async fn pending_registrations(
        &mut self,
        destination: &Address,
        now: Timestamp,
    ) -> Result<Vec<Registration>, StoreError> {
        fetch!(fetch_all, self, SELECT_PENDING, [destination.key(), now])
    }

    /// The pending registration with this verification.
    pub async fn registration(
        &mut self,
        verification: Uuid,
        now: Timestamp,
    ) -> Result<Option<Registration>, StoreError> {
        fetch!(fetch_optional, self, SELECT, [verification, now])
    }

    /// The newest pending registration that has the address, be it beside its destination.
    pub async fn newest_registration_with(
        &mut self,
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<Registration>, StoreError> {
        let statement = match address {
            Address::Email(_) => SELECT_NEWEST_WITH_EMAIL,
            Address::Mobile(_) => SELECT_NEWEST_WITH_MOBILE,
        };
        fetch!(fetch_optional, self, statement, [address.key(), now])
    }

    /// The pending registration with this verification, and whether it can still become an account: with an email
    /// beside its mobile that another account has, if it `may_hold_unproven`.
    pub async fn activation(
        &mut self,
        verification: Uuid,
        may_hold_unproven: bool,
        now: Timestamp,
    ) -> Result<Option<Activation>, StoreError> {
        let row: Option<ActivationRow> = fetch!(fetch_optional, self, SELECT_ACTIVATION, [verification, now])?;
        Ok(row.map(|ActivationRow { registration, mut taken }| {
            let is_beside = registration.identifiers.mobile.is_some();
            taken.email_taken = taken.email_taken && !(may_hold_unproven && is_beside);
            Activation { registration, taken: taken.into() }
        }))
    }
}

impl Tx {
    /// Inserts a registration.
    pub fn insert_registration(&mut self, new: &Registration) -> Result<(), StoreError> {
        let columns = IdentifierColumns::from(&new.identifiers);
        write_once!(
            self,
            Nothing,
            INSERT,
            [
                new.id,
                new.verification_id,
                new.destination().key(),
                columns.email,
                &columns.email_key,
                columns.mobile,
                columns.login_id,
                &columns.login_id_key,
                &new.name,
                &new.locale,
                new.data.to_stored(),
                &new.password_hash,
                &new.client_hash,
                new.last_code_at,
                new.expires_at,
                new.created_at,
            ]
        )
    }

    /// Takes over new details for a new code under the same ids; the registration needs to be there still.
    pub fn renew_registration(&mut self, renewed: &Registration) -> Result<(), StoreError> {
        let columns = IdentifierColumns::from(&renewed.identifiers);
        write_once!(
            self,
            Row,
            RENEW,
            [
                renewed.id,
                columns.email,
                &columns.email_key,
                columns.mobile,
                columns.login_id,
                &columns.login_id_key,
                &renewed.name,
                &renewed.locale,
                &renewed.client_hash,
                renewed.last_code_at,
                renewed.expires_at,
                renewed.data.to_stored(),
            ]
        )
    }

    /// Lets the registration of this verification live on with a new code; it needs to be there, if `is_pending`.
    pub fn extend_registration(
        &mut self,
        verification: Uuid,
        is_pending: bool,
        last_code_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        if is_pending {
            write_once!(self, Row, EXTEND, [verification, last_code_at, expires_at])
        } else {
            write_once!(self, Order, EXTEND, [verification, last_code_at, expires_at])
        }
    }

    /// Deletes all registrations of a destination and returns their ids: of two transactions that try, one gets
    /// them.
    pub async fn delete_registrations(&mut self, destination: &Address) -> Result<Vec<Uuid>, StoreError> {
        let ids: Vec<(Uuid,)> = fetch!(fetch_all, self, DELETE, [destination.key()])?;
        Ok(ids.into_iter().map(|(id,)| id).collect())
    }

    /// Deletes this registration, which needs to be there still, and all others of its destination.
    pub fn end_registrations(&mut self, own: Uuid, destination: &Address) -> Result<(), StoreError> {
        write_once!(self, Row, DELETE_ONE, [own])?;
        write_once!(self, Order, DELETE_OTHERS, [destination.key(), own])
    }

    /// Deletes the expired registrations of a destination, so that their passwords may register anew.
    pub fn delete_expired(&mut self, destination: &Address, now: Timestamp) -> Result<(), StoreError> {
        write_once!(self, Order, DELETE_EXPIRED, [destination.key(), now])
    }
}
