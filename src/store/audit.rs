//! The audit.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Reader, Store, StoreError, Tx,
    connection::{execute, fetch, write_rows},
    dialect::statements,
};
use crate::domain::{Address, AuditKind, AuditLine, DAY, DestinationHash, Timestamp, User};

#[derive(sqlx::FromRow)]
struct AuditRow {
    at: Timestamp,
    kind: String,
    outcome: String,
    detail: Option<String>,
    user_id: Option<Uuid>,
    destination_hash: Option<Vec<u8>>,
    destination: Option<String>,
    verification_id: Option<Uuid>,
    client: Option<String>,
    user_agent: Option<String>,
    provider: Option<String>,
    reference: Option<String>,
    took_ms: Option<i32>,
    times: i32,
}

statements! {
    INSERT = "INSERT INTO audit (at, kind, outcome, detail, user_id, destination_hash, destination, verification_id,
        client, user_agent, provider, reference, took_ms, times)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    COUNT_REFUSAL = "INSERT INTO audit (at, kind, outcome, destination_hash, destination, client, user_agent, times, hour)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (destination_hash, outcome, hour) WHERE hour IS NOT NULL DO UPDATE SET at = excluded.at,
        times = audit.times + excluded.times, client = excluded.client, user_agent = excluded.user_agent";
    INSERT_REPORT = "INSERT INTO audit (at, kind, outcome, user_id, destination_hash, destination, verification_id,
        provider, times) SELECT $2, 'reported', $3, v.user_id, v.destination_hash, o.destination, v.id, v.provider, 1
        FROM outbox o JOIN verifications v ON v.id = o.verification_id WHERE o.id = $1";
    SELECT_OF_DESTINATION = "SELECT ", AUDIT, " WHERE destination_hash = $1 AND at > $2 ORDER BY at DESC, id DESC LIMIT $3";
    SELECT_OF_USER = "SELECT ", AUDIT, " WHERE user_id = $1 OR (user_id IS NULL AND destination_hash IN ($3, $4) AND at > $5)
        ORDER BY at DESC, id DESC LIMIT $2";
    SELECT_NEWEST = "SELECT ", AUDIT, " WHERE at > $1 ORDER BY at DESC, id DESC LIMIT $2";
    FORGET_USER = "UPDATE audit SET detail = NULL, user_id = NULL, destination_hash = NULL, destination = NULL,
        verification_id = NULL, client = NULL, user_agent = NULL, reference = NULL, hour = NULL
        WHERE id IN (SELECT id FROM audit WHERE user_id = $1 LIMIT $2)";
    FORGET_DESTINATION = "UPDATE audit SET detail = NULL, user_id = NULL, destination_hash = NULL, destination = NULL,
        verification_id = NULL, client = NULL, user_agent = NULL, reference = NULL, hour = NULL
        WHERE id IN (SELECT id FROM audit WHERE destination_hash = $1 LIMIT $2)";
}

/// The lines that one statement forgets, so that it stays within its time-out.
const FORGOTTEN_AT_ONCE: u64 = 5_000;

impl From<AuditRow> for AuditLine {
    fn from(row: AuditRow) -> Self {
        Self {
            at: row.at,
            kind: AuditKind::parse(&row.kind).unwrap_or(AuditKind::Unknown),
            outcome: row.outcome,
            detail: row.detail,
            user_id: row.user_id,
            destination_hash: row.destination_hash,
            destination: row.destination,
            verification_id: row.verification_id,
            client: row.client,
            user_agent: row.user_agent,
            provider: row.provider,
            reference: row.reference,
            took_ms: row.took_ms,
            times: row.times,
        }
    }
}

fn in_order(rows: Vec<AuditRow>) -> Vec<AuditLine> {
    rows.into_iter().rev().map(AuditLine::from).collect()
}

impl Reader {
    /// The newest lines about an address since a time, the oldest first.
    pub async fn audit_of_destination(
        &mut self,
        hash: &DestinationHash,
        since: Timestamp,
        limit: i64,
    ) -> Result<Vec<AuditLine>, StoreError> {
        fetch!(fetch_all, self, SELECT_OF_DESTINATION, [hash.as_bytes(), since, limit]).map(in_order)
    }

    /// The newest lines about an account, the oldest first. Those about its addresses belong to it, the day before it
    /// was created included: its registration, and what was refused.
    pub async fn audit_of_user(&mut self, user: &User, limit: i64) -> Result<Vec<AuditLine>, StoreError> {
        let addresses: Vec<DestinationHash> = user.proven_addresses().iter().map(Address::hash).collect();
        let hash = |place: usize| addresses.get(place).map(DestinationHash::as_bytes);
        let since = user.created_at.minus(DAY);
        fetch!(fetch_all, self, SELECT_OF_USER, [user.id, limit, hash(0), hash(1), since]).map(in_order)
    }

    /// The newest lines since a time, the oldest first.
    pub async fn newest_audit(&mut self, since: Timestamp, limit: i64) -> Result<Vec<AuditLine>, StoreError> {
        fetch!(fetch_all, self, SELECT_NEWEST, [since, limit]).map(in_order)
    }
}

impl Store {
    /// Counts refusals: one line for an address, a limit and an hour. Nodes do it in one order, each row by itself, so
    /// that none waits for another crosswise.
    pub async fn count_refusals(&self, refused: Vec<AuditLine>) -> Result<(), StoreError> {
        let mut writer = self.write().await?;
        for line in folded(refused).values() {
            let hour = hour_of(line);
            execute!(
                writer,
                COUNT_REFUSAL,
                [
                    line.at,
                    line.kind.as_str(),
                    &line.outcome,
                    &line.destination_hash,
                    &line.destination,
                    &line.client,
                    &line.user_agent,
                    line.times,
                    hour
                ]
            )?;
        }
        Ok(())
    }
}

/// One line for each row that they count in; the newest, with the times of all.
fn folded(refused: Vec<AuditLine>) -> BTreeMap<(Option<Vec<u8>>, String, i64), AuditLine> {
    let mut folded = BTreeMap::<_, AuditLine>::new();
    for line in refused {
        let key = (line.destination_hash.clone(), line.outcome.clone(), hour_of(&line));
        let before = folded.get(&key).map_or(0, |folded| folded.times);
        folded.insert(key, AuditLine { times: before + line.times, ..line });
    }
    folded
}

fn hour_of(line: &AuditLine) -> i64 {
    line.at.millis() / 3_600_000
}

impl Tx {
    /// The line, without everything that names its account if that is gone; until the end it cannot go.
    pub async fn unless_gone(&mut self, line: AuditLine) -> Result<AuditLine, StoreError> {
        match line.user_id {
            Some(user) if !self.lock_user(user).await? => Ok(line.nameless()),
            _ => Ok(line),
        }
    }

    /// Writes lines, by one statement.
    pub fn append_audit(&mut self, lines: &[AuditLine]) -> Result<(), StoreError> {
        write_rows!(self, Nothing, INSERT, lines, |line| [
            line.at,
            line.kind.as_str(),
            &line.outcome,
            &line.detail,
            line.user_id,
            &line.destination_hash,
            &line.destination,
            line.verification_id,
            &line.client,
            &line.user_agent,
            &line.provider,
            &line.reference,
            line.took_ms,
            line.times,
        ])
    }

    /// Writes the line of a provider's report of a message.
    pub async fn append_report(&mut self, message: i64, outcome: &str, now: Timestamp) -> Result<(), StoreError> {
        execute!(self, INSERT_REPORT, [message, now, outcome]).map(drop)
    }

    /// Of an account that is deleted, and its addresses, only times, kinds and outcomes stay.
    pub(super) async fn forget_audit(&mut self, user: Uuid, addresses: &[DestinationHash]) -> Result<(), StoreError> {
        let batch = i64::try_from(FORGOTTEN_AT_ONCE).unwrap_or(i64::MAX);
        while execute!(self, FORGET_USER, [user, batch])? == FORGOTTEN_AT_ONCE {}
        for address in addresses {
            while execute!(self, FORGET_DESTINATION, [address.as_bytes(), batch])? == FORGOTTEN_AT_ONCE {}
        }
        Ok(())
    }
}
