//! Accounts: what is read of them, and how they are created.

use uuid::Uuid;

use super::{
    Reader, StoreError, Tx,
    connection::{execute, fetch, write_once, write_rows},
    dialect::statements,
    identifiers::{IdentifierColumns, IdentifierRow, TakenRow},
    rows::{Joined, read_by_row},
};
use crate::domain::{
    Address, Channel, DestinationHash, Email, Identifier, Identifiers, JsonObject, LoginId, Mobile, TakenIdentifier,
    Timestamp, User,
};

#[derive(sqlx::FromRow)]
struct UserRow {
    id: Uuid,
    #[sqlx(flatten)]
    identifiers: IdentifierRow,
    email_verified: bool,
    email_verified_at: Option<Timestamp>,
    email_suspended_until: Option<Timestamp>,
    mobile_verified: bool,
    mobile_verified_at: Option<Timestamp>,
    mobile_suspended_until: Option<Timestamp>,
    name: Option<String>,
    locale: Option<String>,
    data: Option<String>,
    claims: Option<String>,
    password_hash: Option<String>,
    epoch: i64,
    disabled_at: Option<Timestamp>,
    password_closed_at: Option<Timestamp>,
    session_opened_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            identifiers: row.identifiers.into(),
            email_verified: row.email_verified,
            email_verified_at: row.email_verified_at,
            email_suspended_until: row.email_suspended_until,
            mobile_verified: row.mobile_verified,
            mobile_verified_at: row.mobile_verified_at,
            mobile_suspended_until: row.mobile_suspended_until,
            name: row.name,
            locale: row.locale,
            data: JsonObject::from_stored(row.data.as_deref()),
            claims: JsonObject::from_stored(row.claims.as_deref()),
            password_hash: row.password_hash,
            epoch: row.epoch,
            disabled_at: row.disabled_at,
            password_closed_at: row.password_closed_at,
            session_opened_at: row.session_opened_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

read_by_row!(User, UserRow);

/// All that a login is judged by.
#[derive(Debug, Clone)]
pub struct LoginState {
    /// When the operator last lifted the limits of the identifier.
    pub lifted_at: Timestamp,
    /// Its account.
    pub account: Option<User>,
}

#[derive(sqlx::FromRow)]
struct LoginRow {
    lifted_at: Option<Timestamp>,
    #[sqlx(flatten)]
    account: Joined<User>,
}

statements! {
    SELECT = "SELECT ", USER, " FROM users u WHERE u.id = $1";
    SELECT_BY_EMAIL = "SELECT ", USER, OF_EMAIL;
    SELECT_BY_MOBILE = "SELECT ", USER, OF_MOBILE;
    SELECT_BY_LOGIN_ID = "SELECT ", USER, OF_LOGIN_ID;
    SELECT_LOGIN_BY_EMAIL = LOGIN_STATE, "(SELECT u.id", OF_EMAIL, ")";
    SELECT_LOGIN_BY_MOBILE = LOGIN_STATE, "(SELECT u.id", OF_MOBILE, ")";
    SELECT_LOGIN_BY_LOGIN_ID = LOGIN_STATE, "(SELECT u.id", OF_LOGIN_ID, ")";
    SELECT_PAGE = "SELECT ", USER, " FROM users u WHERE u.id > $1 ORDER BY u.id LIMIT $2";
    SELECT_BY_EMAILS = "SELECT ", USER, " FROM users u
        WHERE (u.email_verified OR u.email_suspended_until IS NOT NULL) AND u.email_key", IN_TEXTS;
    SELECT_BY_MOBILES = "SELECT ", USER, " FROM users u
        WHERE (u.mobile_verified OR u.mobile_suspended_until IS NOT NULL) AND u.mobile", IN_TEXTS;
    SELECT_BY_LOGIN_IDS = "SELECT ", USER, " FROM users u WHERE u.login_id_key", IN_TEXTS;
    SELECT_BY_IDS = "SELECT ", USER, " FROM users u WHERE u.id", IN_UUIDS;
    SELECT_ANY = "SELECT EXISTS (SELECT 1 FROM users)";
    SELECT_TAKEN = "SELECT ", TAKEN;
    SELECT_FOR_UPDATE = "SELECT ", USER, " FROM users u WHERE u.id = $1", FOR_NO_KEY_UPDATE;
    RELEASE_EMAILS = "UPDATE users SET email_suspended_until = NULL
        WHERE email_suspended_until <= $2 AND email_key", IN_TEXTS;
    RELEASE_MOBILES = "UPDATE users SET mobile_suspended_until = NULL
        WHERE mobile_suspended_until <= $2 AND mobile", IN_TEXTS;
    LOCK = "SELECT id FROM users WHERE id = $1", FOR_KEY_SHARE;
    INSERT = "INSERT INTO users (id, email, email_key, email_verified, email_verified_at, mobile, mobile_verified,
        mobile_verified_at, login_id, login_id_key, name, locale, data, claims, password_hash, epoch, disabled_at,
        session_opened_at, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
}

impl Reader {
    /// The account with this id.
    pub async fn user(&mut self, id: Uuid) -> Result<Option<User>, StoreError> {
        fetch!(fetch_optional, self, SELECT, [id])
    }

    /// The account that has proven the address; if none has, the one that has held it longest.
    pub async fn user_by_address(&mut self, address: &Address) -> Result<Option<User>, StoreError> {
        let statement = match address {
            Address::Email(_) => SELECT_BY_EMAIL,
            Address::Mobile(_) => SELECT_BY_MOBILE,
        };
        fetch!(fetch_optional, self, statement, [address.key()])
    }

    /// The account with this login id.
    pub async fn user_by_login_id(&mut self, login_id: &LoginId) -> Result<Option<User>, StoreError> {
        fetch!(fetch_optional, self, SELECT_BY_LOGIN_ID, [login_id.key()])
    }

    /// All that a login is judged by, in one statement.
    pub async fn login_state(&mut self, identifier: &Identifier) -> Result<LoginState, StoreError> {
        let statement = match identifier {
            Identifier::Address(Address::Email(_)) => SELECT_LOGIN_BY_EMAIL,
            Identifier::Address(Address::Mobile(_)) => SELECT_LOGIN_BY_MOBILE,
            Identifier::LoginId(_) => SELECT_LOGIN_BY_LOGIN_ID,
        };
        let key = identifier.key();
        let hash = DestinationHash::of_key(&key);
        let row: LoginRow = fetch!(fetch_one, self, statement, [&key, hash.as_bytes()])?;
        Ok(LoginState { lifted_at: row.lifted_at.unwrap_or_default(), account: row.account.0 })
    }

    /// The next accounts after this id, in the order of ids.
    pub async fn users_after(&mut self, id: Uuid, limit: i64) -> Result<Vec<User>, StoreError> {
        fetch!(fetch_all, self, SELECT_PAGE, [id, limit])
    }

    /// The accounts that have proven one of these emails or mobiles, be it that it is suspended, or have one of these login ids or ids;
    /// all as keys.
    pub async fn users_by_keys(
        &mut self,
        emails: &[String],
        mobiles: &[String],
        login_ids: &[String],
        ids: &[String],
    ) -> Result<Vec<User>, StoreError> {
        let mut users = Vec::new();
        for (statement, keys) in [
            (SELECT_BY_EMAILS, emails),
            (SELECT_BY_MOBILES, mobiles),
            (SELECT_BY_LOGIN_IDS, login_ids),
            (SELECT_BY_IDS, ids),
        ] {
            let keys = serde_json::to_string(keys).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let of_statement: Vec<User> = fetch!(fetch_all, self, statement, [&keys])?;
            users.extend(of_statement);
        }
        Ok(users)
    }

    /// Whether there is any account.
    pub async fn has_users(&mut self) -> Result<bool, StoreError> {
        fetch!(fetch_one, self, SELECT_ANY, []).map(|(any,)| any)
    }

    /// The first identifier that an account has, other than `but`: a proven address, one that is suspended, or the
    /// login id.
    pub async fn taken_identifier(
        &mut self,
        of: &Identifiers,
        but: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Option<TakenIdentifier>, StoreError> {
        let IdentifierColumns { mobile, email_key, login_id_key, .. } = IdentifierColumns::from(of);
        let row: TakenRow = fetch!(fetch_one, self, SELECT_TAKEN, [mobile, &email_key, &login_id_key, now, but])?;
        Ok(row.into())
    }
}

impl Tx {
    /// Keeps the account from being deleted until the transaction ends; `false` if there is none.
    pub async fn lock_user(&mut self, id: Uuid) -> Result<bool, StoreError> {
        let locked: Option<(Uuid,)> = fetch!(fetch_optional, self, LOCK, [id])?;
        Ok(locked.is_some())
    }

    /// The account, which nobody else changes until the transaction ends.
    pub async fn user_for_update(&mut self, id: Uuid) -> Result<Option<User>, StoreError> {
        fetch!(fetch_optional, self, SELECT_FOR_UPDATE, [id])
    }

    /// Waits for any other transaction that proves the same identifier, and then fails with [`StoreError::Taken`], here or
    /// at the commit.
    pub async fn insert_user(&mut self, new: &User) -> Result<(), StoreError> {
        self.insert_users(std::slice::from_ref(new)).await
    }

    /// Inserts up to some thousand accounts at once.
    pub async fn insert_users(&mut self, new: &[User]) -> Result<(), StoreError> {
        let proven: Vec<Address> = new.iter().flat_map(User::proven_addresses).collect();
        self.release_addresses(&proven, new.first().map(|user| user.updated_at).unwrap_or_default()).await?;
        write_rows!(self, Row, INSERT, new, |user| [
            user.id,
            user.identifiers.email.as_ref().map(Email::as_str),
            user.identifiers.email.as_ref().map(Email::key),
            user.email_verified,
            user.email_verified_at,
            user.identifiers.mobile.as_ref().map(Mobile::as_str),
            user.mobile_verified,
            user.mobile_verified_at,
            user.identifiers.login_id.as_ref().map(LoginId::as_str),
            user.identifiers.login_id.as_ref().map(LoginId::key),
            &user.name,
            &user.locale,
            user.data.to_stored(),
            user.claims.to_stored(),
            &user.password_hash,
            user.epoch,
            user.disabled_at,
            user.session_opened_at,
            user.created_at,
            user.updated_at,
        ])
    }

    /// Ends the suspensions that are past, so that these addresses may be proven by others.
    pub(super) async fn release_addresses(&mut self, addresses: &[Address], now: Timestamp) -> Result<(), StoreError> {
        for (statement, channel) in [(RELEASE_MOBILES, Channel::Sms), (RELEASE_EMAILS, Channel::Email)] {
            let of_channel = addresses.iter().filter(|address| address.channel() == channel);
            let keys: Vec<String> = of_channel.map(Address::key).collect();
            let json = serde_json::json!(keys).to_string();
            match keys.len() {
                0 => {}
                all if all == addresses.len() => write_once!(self, Order, statement, [&json, now])?,
                // Both may touch one row, which a batch may not.
                _ => execute!(self, statement, [&json, now]).map(drop)?,
            }
        }
        Ok(())
    }
}
