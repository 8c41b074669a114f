//! All that a register or a resend is judged by, read in one statement.

use uuid::Uuid;

use super::{
    Reader, StoreError,
    connection::fetch,
    destinations::DestinationRow,
    dialect::statements,
    identifiers::{IdentifierColumns, TakenRow},
    rows::Joined,
};
use crate::domain::{DestinationRecord, Identifiers, Registration, TakenIdentifier, Timestamp, Way};

/// All that a register or a resend is judged by.
#[derive(Debug, Clone)]
pub struct PendingState {
    /// The record of the way.
    pub destination: DestinationRecord,
    /// The first of the identifiers that an account has.
    pub taken: Option<TakenIdentifier>,
    /// Registrations with the generations of their codes, the newest first.
    pub pending: Vec<(Registration, i64)>,
}

#[derive(sqlx::FromRow)]
struct StateRow {
    #[sqlx(flatten)]
    destination: DestinationRow,
    #[sqlx(flatten)]
    taken: TakenRow,
    #[sqlx(flatten)]
    registration: Joined<Registration>,
    generation: Option<i64>,
}

statements! {
    SELECT_AT_DESTINATION = PENDING_STATE, "r.destination_key = $7
        LEFT JOIN verifications v ON v.id = r.verification_id ORDER BY r.created_at DESC, r.id DESC";
    SELECT_OF_VERIFICATION = PENDING_STATE, "r.verification_id = $7 AND r.expires_at > $4
        LEFT JOIN verifications v ON v.id = r.verification_id";
}

impl Reader {
    /// The state at the destination of the way, with all registrations there, expired ones included.
    pub async fn state_at_destination(
        &mut self,
        way: Way<'_>,
        identifiers: &Identifiers,
        now: Timestamp,
    ) -> Result<PendingState, StoreError> {
        let IdentifierColumns { mobile, email_key, login_id_key, .. } = IdentifierColumns::from(identifiers);
        let (record, key) = (way.record_key(), way.destination.key());
        let rows: Vec<StateRow> = fetch!(
            fetch_all,
            self,
            SELECT_AT_DESTINATION,
            [mobile, &email_key, &login_id_key, now, None::<Uuid>, record.as_bytes(), &key]
        )?;
        state(rows)
    }

    /// The state at the destination of the way, with the one registration that has this verification.
    pub async fn state_of_verification(
        &mut self,
        way: Way<'_>,
        verification: Uuid,
        now: Timestamp,
    ) -> Result<PendingState, StoreError> {
        let identifiers = way.destination.clone().into();
        let IdentifierColumns { mobile, email_key, login_id_key, .. } = IdentifierColumns::from(&identifiers);
        let record = way.record_key();
        let rows: Vec<StateRow> = fetch!(
            fetch_all,
            self,
            SELECT_OF_VERIFICATION,
            [mobile, &email_key, &login_id_key, now, None::<Uuid>, record.as_bytes(), verification]
        )?;
        state(rows)
    }
}

fn state(rows: Vec<StateRow>) -> Result<PendingState, StoreError> {
    let mut state = None;
    let mut pending = Vec::new();
    for StateRow { destination, taken, registration, generation } in rows {
        state.get_or_insert((destination, taken));
        pending.extend(registration.0.map(|registration| (registration, generation.unwrap_or_default())));
    }
    let (destination, taken) = state.ok_or(StoreError::Failed(sqlx::Error::RowNotFound))?;
    Ok(PendingState { destination: destination.try_into()?, taken: taken.into(), pending })
}
