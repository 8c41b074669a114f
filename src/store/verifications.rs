//! Verifications, and how far their messages have come.

use uuid::Uuid;

use super::{
    Reader, StoreError, Tx, Writer,
    connection::{execute, fetch, write_once},
    destinations::DestinationRow,
    dialect::statements,
};
use crate::domain::{Address, Challenge, DeliveryState, Holder, Purpose, SignUp, Timestamp, Verification};

/// The provider that took a message, and the number of text messages it went as.
#[derive(Debug, Clone, Copy)]
pub struct DeliveredBy {
    /// The provider's name.
    pub provider: &'static str,
    /// Text messages as networks count and bill them; `None` for emails.
    pub segments: Option<i32>,
}

/// A contact change that waits for its code, and the session that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedChange {
    /// The verification.
    pub verification: Uuid,
    /// The session, which is valid.
    pub session: Uuid,
    /// The account.
    pub user: Uuid,
}

#[derive(sqlx::FromRow)]
struct VerificationRow {
    id: Uuid,
    generation: i64,
    purpose: String,
    destination: String,
    digits: i32,
    tries: i32,
    state: String,
    phantom: bool,
    changed_at: Timestamp,
    issued_at: Timestamp,
    expires_at: Timestamp,
    user_id: Option<Uuid>,
    epoch: Option<i64>,
    login_id_hash: Option<Vec<u8>>,
    sign_up: Option<String>,
}

#[derive(sqlx::FromRow)]
struct ChallengeRow {
    #[sqlx(flatten)]
    verification: VerificationRow,
    #[sqlx(flatten)]
    destination: DestinationRow,
    is_current: bool,
}

impl TryFrom<VerificationRow> for Verification {
    type Error = StoreError;

    fn try_from(row: VerificationRow) -> Result<Self, StoreError> {
        let sign_up: Option<SignUp> = row.sign_up.and_then(|json| serde_json::from_str(&json).ok());
        let unknown = |column: &str| StoreError::Failed(sqlx::Error::Decode(format!("unknown {column}").into()));
        Ok(Self {
            id: row.id,
            generation: row.generation,
            purpose: Purpose::parse(&row.purpose).ok_or_else(|| unknown("purpose"))?,
            destination: Address::from_stored(row.destination),
            digits: u32::try_from(row.digits).map_err(|_| unknown("digits"))?,
            tries: u32::try_from(row.tries).map_err(|_| unknown("tries"))?,
            state: DeliveryState::parse(&row.state).ok_or_else(|| unknown("state"))?,
            changed_at: row.changed_at,
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            holder: match row.user_id.zip(row.epoch) {
                Some((id, epoch)) => Holder::Account { id, epoch },
                None if row.phantom => Holder::Phantom,
                None if sign_up.is_some() => Holder::Newcomer,
                None => Holder::Registration,
            },
            login_id_hash: row.login_id_hash,
            sign_up,
        })
    }
}

impl TryFrom<ChallengeRow> for Challenge {
    type Error = StoreError;

    fn try_from(row: ChallengeRow) -> Result<Self, StoreError> {
        Ok(Self {
            verification: row.verification.try_into()?,
            destination: row.destination.try_into()?,
            is_current: row.is_current,
        })
    }
}

statements! {
    SELECT = "SELECT ", CHALLENGE, " WHERE v.id = $1";
    SELECT_ALL = "SELECT ", CHALLENGE, " WHERE v.id", IN_UUIDS;
    SELECT_OF_USER = "SELECT ", CHALLENGE, " WHERE v.user_id = $1 ORDER BY v.issued_at";
    SELECT_NEWEST = "SELECT ", CHALLENGE, " WHERE v.destination_key = $1 AND v.expires_at > $2 AND v.purpose = $3
        AND v.login_id_hash IS NOT DISTINCT FROM $4 AND (v.phantom OR v.user_id IS NOT NULL OR v.sign_up IS NOT NULL)
        ORDER BY v.issued_at DESC, v.id DESC LIMIT 1";
    INSERT = "INSERT INTO verifications (id, generation, purpose, destination, destination_key, destination_hash,
        record_key, digits, tries, state, phantom, user_id, epoch, login_id_hash, changed_at, issued_at, expires_at,
        country, sign_up)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
    SELECT_SIGN_UP = "SELECT EXISTS (SELECT 1 FROM verifications WHERE destination_key = $1 AND purpose = 'login'
        AND sign_up IS NOT NULL AND expires_at > $2)";
    MARK_ASKED_BY = "UPDATE verifications SET asked_in = $2, asked_from = $3, epoch = $4 WHERE id = $1";
    SELECT_ASKED_FROM = "SELECT v.id, v.asked_in, s.user_id FROM verifications v
        JOIN sessions s ON s.id = v.asked_in JOIN users u ON u.id = s.user_id
        WHERE v.destination_key = $1 AND v.purpose = 'contact_change' AND v.asked_from = $2 AND v.expires_at > $3
        AND v.state <> 'verified' AND v.epoch = u.epoch AND s.epoch = u.epoch AND s.revoked_at IS NULL
        AND s.ends_at > $3 AND u.disabled_at IS NULL ORDER BY v.issued_at DESC, v.id DESC LIMIT 1";
    SELECT_WAITING = "SELECT v.destination FROM verifications v
        JOIN sessions s ON s.id = v.asked_in JOIN users u ON u.id = s.user_id
        WHERE s.user_id = $1 AND v.purpose = 'contact_change' AND v.expires_at > $2 AND v.state <> 'verified'
        AND v.epoch = u.epoch ORDER BY v.issued_at DESC, v.id DESC";
    RENEW = "UPDATE verifications SET generation = $8, digits = $2, tries = $3, state = $4,
        changed_at = $5, expires_at = $6, issued_at = $5, phantom = $7, provider = NULL
        WHERE id = $1 AND generation = $8 - 1 AND state <> 'verified'";
    MARK_VERIFIED = "UPDATE verifications SET state = 'verified', changed_at = $2, sign_up = NULL,
        user_id = COALESCE($3, user_id), epoch = COALESCE(epoch, 0) WHERE id = $1 AND state <> 'verified'";
    MARK_DELIVERY = "UPDATE verifications SET provider = $5, segments = $6,
        state = CASE WHEN state = 'queued' THEN $3 ELSE state END,
        changed_at = CASE WHEN state = 'queued' THEN $4 ELSE changed_at END
        WHERE id = $1 AND generation = $2";
    MARK_REPORT = "UPDATE verifications SET state = $2, changed_at = $3
        WHERE state IN ('queued', 'sent', 'undelivered') AND state <> $2 AND EXISTS (SELECT 1 FROM outbox o
        WHERE o.id = $1 AND o.verification_id = verifications.id AND o.generation = verifications.generation)
        AND id = (SELECT verification_id FROM outbox WHERE id = $1)";
}

/// A purpose that only a newer version knows does not exist for this one.
fn is_known(row: &ChallengeRow) -> bool {
    Purpose::parse(&row.verification.purpose).is_some()
}

impl Reader {
    /// The verification with this id.
    pub async fn challenge(&mut self, id: Uuid, now: Timestamp) -> Result<Option<Challenge>, StoreError> {
        let row: Option<ChallengeRow> = fetch!(fetch_optional, self, SELECT, [id, now])?;
        row.filter(is_known).map(Challenge::try_from).transpose()
    }

    /// Whether a login code that may make an account is on its way to the address.
    pub async fn is_signing_up(&mut self, address: &Address, now: Timestamp) -> Result<bool, StoreError> {
        fetch!(fetch_one, self, SELECT_SIGN_UP, [address.key(), now]).map(|(is_signing_up,)| is_signing_up)
    }

    /// The verifications of an account, the oldest first.
    pub async fn verifications_of(&mut self, user: Uuid, now: Timestamp) -> Result<Vec<Verification>, StoreError> {
        let rows: Vec<ChallengeRow> = fetch!(fetch_all, self, SELECT_OF_USER, [user, now])?;
        rows.into_iter().filter(is_known).map(|row| row.verification.try_into()).collect()
    }

    /// The verifications with these ids.
    pub async fn challenges(&mut self, ids: &[Uuid], now: Timestamp) -> Result<Vec<Challenge>, StoreError> {
        let rows: Vec<ChallengeRow> = fetch!(fetch_all, self, SELECT_ALL, [serde_json::json!(ids).to_string(), now])?;
        rows.into_iter().filter(is_known).map(Challenge::try_from).collect()
    }

    /// The verification that was requested last with these identifiers, an account's, a newcomer's or a phantom's; those of
    /// registrations are found by their own rows.
    pub async fn newest_challenge(
        &mut self,
        destination: &Address,
        login_id_hash: Option<&[u8]>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<Challenge>, StoreError> {
        let row: Option<ChallengeRow> =
            fetch!(fetch_optional, self, SELECT_NEWEST, [destination.key(), now, purpose.as_str(), login_id_hash])?;
        row.map(Challenge::try_from).transpose()
    }

    /// The change to this address that was asked for last from this network, in a session that is still valid.
    pub async fn change_asked_from(
        &mut self,
        address: &Address,
        network_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<AskedChange>, StoreError> {
        let row: Option<(Uuid, Uuid, Uuid)> =
            fetch!(fetch_optional, self, SELECT_ASKED_FROM, [address.key(), network_hash, now])?;
        Ok(row.map(|(verification, session, user)| AskedChange { verification, session, user }))
    }

    /// The addresses that the account's changes go to and whose codes are awaited, the newest first; that another has
    /// proven one does not show.
    pub async fn waiting_changes(&mut self, user: Uuid, now: Timestamp) -> Result<Vec<Address>, StoreError> {
        let rows: Vec<(String,)> = fetch!(fetch_all, self, SELECT_WAITING, [user, now])?;
        Ok(rows.into_iter().map(|(address,)| Address::from_stored(address)).collect())
    }
}

impl Writer {
    /// Records a provider's report of a message, named by its number in the outbox, unless its code was used or
    /// replaced meanwhile.
    pub async fn mark_report(
        &mut self,
        message: i64,
        state: DeliveryState,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(execute!(self, MARK_REPORT, [message, state.as_str(), now])? == 1)
    }
}

impl Tx {
    /// Inserts a verification.
    pub fn insert_verification(&mut self, new: &Verification) -> Result<(), StoreError> {
        let account = match new.holder {
            Holder::Account { id, epoch } => Some((id, epoch)),
            Holder::Registration | Holder::Newcomer | Holder::Phantom => None,
        };
        let sign_up = new.sign_up.as_ref().map(serde_json::to_string).transpose();
        let sign_up = sign_up.map_err(|error| sqlx::Error::Encode(error.into()))?;
        write_once!(
            self,
            Nothing,
            INSERT,
            [
                new.id,
                new.generation,
                new.purpose.as_str(),
                new.destination.as_str(),
                new.destination.key(),
                new.destination.hash().as_bytes(),
                new.way().record_key().as_bytes(),
                i32::try_from(new.digits).unwrap_or(i32::MAX),
                i32::try_from(new.tries).unwrap_or(i32::MAX),
                new.state.as_str(),
                new.holder == Holder::Phantom,
                account.map(|(id, _)| id),
                account.map(|(_, epoch)| epoch),
                &new.login_id_hash,
                new.changed_at,
                new.issued_at,
                new.expires_at,
                new.destination.country(),
                &sign_up,
            ]
        )
    }

    /// Notes the session and the network that asked for a change of a contact, and the account's epoch then, be the new
    /// address another's or not.
    pub async fn mark_asked_by(
        &mut self,
        id: Uuid,
        session: Uuid,
        network_hash: &[u8],
        epoch: i64,
    ) -> Result<(), StoreError> {
        execute!(self, MARK_ASKED_BY, [id, session, network_hash, epoch]).map(drop)
    }

    /// Writes the verification's next code, which needs to be the next one, and none to have been used.
    pub fn renew_verification(&mut self, renewed: &Verification) -> Result<(), StoreError> {
        write_once!(
            self,
            Row,
            RENEW,
            [
                renewed.id,
                i32::try_from(renewed.digits).unwrap_or(i32::MAX),
                i32::try_from(renewed.tries).unwrap_or(i32::MAX),
                renewed.state.as_str(),
                renewed.changed_at,
                renewed.expires_at,
                renewed.holder == Holder::Phantom,
                renewed.generation,
            ]
        )
    }

    /// Uses the verification up; `false` if it was used already: a code works once. `becomes` is the account
    /// that a registration became, which owns the verification from then on.
    pub async fn mark_verified(&mut self, id: Uuid, becomes: Option<Uuid>, now: Timestamp) -> Result<bool, StoreError> {
        Ok(execute!(self, MARK_VERIFIED, [id, now, becomes])? == 1)
    }

    /// Uses the verification up, which needs to be unused still.
    pub fn use_verification(&mut self, id: Uuid, becomes: Option<Uuid>, now: Timestamp) -> Result<(), StoreError> {
        write_once!(self, Row, MARK_VERIFIED, [id, now, becomes])
    }

    /// Records how far the message of this generation has come and who took it; a state that says more stays.
    pub fn mark_delivery(
        &mut self,
        id: Uuid,
        generation: i64,
        state: DeliveryState,
        by: Option<&DeliveredBy>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (provider, segments) = (by.map(|by| by.provider), by.and_then(|by| by.segments));
        write_once!(self, Order, MARK_DELIVERY, [id, generation, state.as_str(), now, provider, segments])
    }
}
