use sqlx::query_as;
use uuid::Uuid;

use super::{
    Connection, Destination, Store, StoreError, Tx,
    connection::{execute, on},
};
use crate::domain::{Address, DeliveryState, Holder, Purpose, Timestamp, Verification};

/// A verification with all that a guess at its code is judged by.
#[derive(Debug, Clone)]
pub struct Challenge {
    pub verification: Verification,
    pub destination: Destination,
    /// Its registration is still pending, or its account still as it was when the code was asked for.
    pub held: bool,
}

impl Challenge {
    /// Guesses at it are judged. Where strangers may ask, an account that changed meanwhile does not
    /// show: that its codes are dead is found when one is used.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !matches!(self.state(now), DeliveryState::Verified | DeliveryState::Expired)
    }

    /// Its code may be right, so it is worth sending.
    pub fn is_wanted(&self, now: Timestamp) -> bool {
        self.held && self.is_live(now)
    }

    /// What a client is told of it.
    pub fn state(&self, now: Timestamp) -> DeliveryState {
        let Verification { purpose, holder, state, expires_at, .. } = &self.verification;
        let given_up = !self.held && *holder != Holder::Nobody && !purpose.is_asked_by_strangers();
        match state {
            DeliveryState::Verified => DeliveryState::Verified,
            _ if now >= *expires_at || given_up => DeliveryState::Expired,
            _ if purpose.is_asked_by_strangers() => DeliveryState::Sent,
            state => *state,
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    issue: i64,
    purpose: String,
    destination: String,
    address: Option<String>,
    digits: i32,
    tries: i32,
    state: String,
    phantom: bool,
    changed_at: Timestamp,
    issued_at: Timestamp,
    expires_at: Timestamp,
    user_id: Option<Uuid>,
    epoch: Option<i64>,
    asked_with: Option<Vec<u8>>,
}

#[derive(sqlx::FromRow)]
struct ChallengeRow {
    #[sqlx(flatten)]
    verification: Row,
    history: Option<String>,
    lifted_at: Option<Timestamp>,
    held: bool,
}

impl TryFrom<Row> for Verification {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let unknown = |what: &str| StoreError::Failed(sqlx::Error::Decode(format!("unknown {what}").into()));
        Ok(Self {
            id: row.id,
            issue: row.issue,
            purpose: Purpose::parse(&row.purpose).ok_or_else(|| unknown("purpose"))?,
            destination: Address::from_stored(row.address.unwrap_or(row.destination)),
            digits: u32::try_from(row.digits).map_err(|_| unknown("digits"))?,
            tries: u32::try_from(row.tries).map_err(|_| unknown("tries"))?,
            state: DeliveryState::parse(&row.state).ok_or_else(|| unknown("state"))?,
            changed_at: row.changed_at,
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            holder: match row.user_id.zip(row.epoch) {
                Some((id, epoch)) => Holder::Account { id, epoch },
                None if row.phantom => Holder::Nobody,
                None => Holder::Registration,
            },
            asked_with: row.asked_with,
        })
    }
}

impl TryFrom<ChallengeRow> for Challenge {
    type Error = StoreError;

    fn try_from(row: ChallengeRow) -> Result<Self, StoreError> {
        Ok(Self {
            verification: row.verification.try_into()?,
            destination: Destination::from_columns(row.history.as_deref(), row.lifted_at)?,
            held: row.held,
        })
    }
}

macro_rules! challenge {
    ($where:literal) => {
        concat!(
            "SELECT v.id, v.issue, v.purpose, v.destination, v.address, v.digits, v.tries, v.state, v.phantom,
             v.changed_at, v.issued_at, v.expires_at, v.user_id, v.epoch, v.asked_with, d.history, d.lifted_at,
             CASE WHEN v.user_id IS NULL
             THEN EXISTS (SELECT 1 FROM registrations r WHERE r.verification_id = v.id AND r.expires_at > $2)
             ELSE EXISTS (SELECT 1 FROM users u WHERE u.id = v.user_id AND u.epoch = v.epoch AND u.disabled_at IS NULL)
             END AS held
             FROM verifications v LEFT JOIN destinations d ON d.hash = v.destination_hash WHERE ",
            $where
        )
    };
}

impl Connection {
    pub async fn challenge(&mut self, id: Uuid, now: Timestamp) -> Result<Option<Challenge>, StoreError> {
        const SELECT: &str = challenge!("v.id = $1");
        let row: Option<ChallengeRow> = on!(self, |db| query_as(SELECT).bind(id).bind(now).fetch_optional(db))?;
        // A purpose that only a newer version knows is nothing to this one.
        let known = row.filter(|row| Purpose::parse(&row.verification.purpose).is_some());
        known.map(Challenge::try_from).transpose()
    }

    /// What was asked for last with these identifiers, an account's or nobody's; registrations are
    /// found by their own rows, and only what looks like one is found here.
    pub async fn newest_challenge(
        &mut self,
        destination: &str,
        asked_with: Option<&[u8]>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<Challenge>, StoreError> {
        const SELECT: &str = challenge!(
            "v.destination = $1 AND v.expires_at > $2 AND v.purpose = $3 AND v.asked_with IS NOT DISTINCT FROM $4
             AND (v.phantom OR v.user_id IS NOT NULL) ORDER BY v.issued_at DESC, v.id DESC LIMIT 1"
        );
        let row: Option<ChallengeRow> = on!(self, |db| query_as(SELECT)
            .bind(destination)
            .bind(now)
            .bind(purpose.as_str())
            .bind(asked_with)
            .fetch_optional(db))?;
        row.map(Challenge::try_from).transpose()
    }
}

impl Tx {
    pub async fn insert_verification(&mut self, new: &Verification, destination_hash: &[u8]) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO verifications (id, issue, purpose, destination, destination_hash, digits,
            tries, state, phantom, changed_at, expires_at, address, user_id, epoch, asked_with, issued_at, country)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
        let account = match new.holder {
            Holder::Account { id, epoch } => Some((id, epoch)),
            Holder::Registration | Holder::Nobody => None,
        };
        execute!(
            self,
            sqlx::query(INSERT)
                .bind(new.id)
                .bind(new.issue)
                .bind(new.purpose.as_str())
                .bind(new.destination.key())
                .bind(destination_hash)
                .bind(i32::try_from(new.digits).unwrap_or(i32::MAX))
                .bind(i32::try_from(new.tries).unwrap_or(i32::MAX))
                .bind(new.state.as_str())
                .bind(new.holder == Holder::Nobody)
                .bind(new.changed_at)
                .bind(new.expires_at)
                .bind(new.destination.as_str())
                .bind(account.map(|(id, _)| id))
                .bind(account.map(|(_, epoch)| epoch))
                .bind(&new.asked_with)
                .bind(new.issued_at)
                .bind(new.destination.country())
        )
        .map(drop)
    }

    /// Counts a new code for the verification and tells its number; `None` where it was used.
    pub async fn reissue_verification(&mut self, renewed: &Verification) -> Result<Option<i64>, StoreError> {
        const UPDATE: &str = "UPDATE verifications SET issue = issue + 1, digits = $2, tries = $3, state = $4,
            changed_at = $5, expires_at = $6, issued_at = $5, provider = NULL WHERE id = $1 AND state <> 'verified' RETURNING issue";
        on!(self, |db| sqlx::query_scalar(UPDATE)
            .bind(renewed.id)
            .bind(i32::try_from(renewed.digits).unwrap_or(i32::MAX))
            .bind(i32::try_from(renewed.tries).unwrap_or(i32::MAX))
            .bind(renewed.state.as_str())
            .bind(renewed.changed_at)
            .bind(renewed.expires_at)
            .fetch_optional(db))
    }

    /// Uses the verification up; `false` where it was already: a code works once.
    /// `becomes` is the account that a registration's makes: from then on it is that one's.
    pub async fn mark_verified(&mut self, id: Uuid, becomes: Option<Uuid>, now: Timestamp) -> Result<bool, StoreError> {
        const UPDATE: &str = "UPDATE verifications SET state = 'verified', changed_at = $2,
            user_id = COALESCE($3, user_id), epoch = COALESCE(epoch, 0)
            WHERE id = $1 AND state <> 'verified' RETURNING id";
        let marked: Option<Uuid> =
            on!(self, |db| sqlx::query_scalar(UPDATE).bind(id).bind(now).bind(becomes).fetch_optional(db))?;
        Ok(marked.is_some())
    }

    /// Tells how far the message of this issue has come, and who took it; what says more stays.
    pub async fn mark_delivery(
        &mut self,
        id: Uuid,
        issue: i64,
        state: DeliveryState,
        by: Option<&Carried>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE verifications SET provider = $5, segments = $6,
            state = CASE WHEN state IN ('queued', 'failed') THEN $3 ELSE state END,
            changed_at = CASE WHEN state IN ('queued', 'failed') THEN $4 ELSE changed_at END
            WHERE id = $1 AND issue = $2";
        execute!(
            self,
            sqlx::query(UPDATE)
                .bind(id)
                .bind(issue)
                .bind(state.as_str())
                .bind(now)
                .bind(by.map(|by| by.provider))
                .bind(by.and_then(|by| by.segments))
        )
        .map(drop)
    }
}

impl Store {
    /// A provider's report of a message, by the outbox's number; of a code that was not used yet.
    pub async fn mark_reported(&self, message: i64, state: DeliveryState, now: Timestamp) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE verifications SET state = $2, changed_at = $3
            WHERE state IN ('queued', 'sent', 'undelivered') AND state <> $2 AND EXISTS
            (SELECT 1 FROM outbox o WHERE o.id = $1 AND o.verification_id = verifications.id AND o.issue = verifications.issue)
            AND id = (SELECT verification_id FROM outbox WHERE id = $1)";
        let mut connection = self.write().await?;
        execute!(connection, sqlx::query(UPDATE).bind(message).bind(state.as_str()).bind(now)).map(drop)
    }

    /// Codes sent since, and those of them that were used, by provider, country and channel.
    pub async fn conversion(&self, since: Timestamp) -> Result<Vec<Conversion>, StoreError> {
        const SELECT: &str = "SELECT provider, COALESCE(country, '') AS country, COUNT(*) AS sent,
            COUNT(CASE WHEN state = 'verified' THEN 1 END) AS verified,
            CAST(COALESCE(SUM(segments), 0) AS BIGINT) AS segments FROM verifications
            WHERE provider IS NOT NULL AND issued_at > $1 GROUP BY provider, country ORDER BY sent DESC, provider, country";
        let mut connection = self.read().await?;
        on!(connection, |db| query_as(SELECT).bind(since).fetch_all(db))
    }
}

/// Who took a message, and as how many text messages it went.
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    pub provider: &'static str,
    pub segments: Option<i32>,
}

/// How many of the codes that went by a provider to a country came back.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Conversion {
    pub provider: String,
    /// Two letters; empty for emails.
    pub country: String,
    pub sent: i64,
    pub verified: i64,
    /// Text messages as networks count and bill them.
    pub segments: i64,
}
