//! Writes of a transaction whose answers nobody needs: PostgreSQL gets them together, as one statement.

use std::fmt::Write as _;

use sqlx::postgres::PgArguments;

use super::StoreError;

/// The writes since the last statement that was sent.
///
/// They become the common table expressions of one statement, which all see the database as it was before it
/// (PostgreSQL manual, 7.8.4): no two of them touch one row, and none reads what another writes. Those with a need are
/// counted, which runs them one after the other, in the order of locks; the rest follow.
#[derive(Default)]
pub(super) struct Batch {
    parts: Vec<Part>,
    arguments: PgArguments,
    bound: usize,
}

/// The order in which locks are taken everywhere; a session locks its user.
const LOCK_ORDER: [&str; 8] =
    ["destinations", "users", "sessions", "registrations", "verifications", "outbox", "events", "audit"];

struct Part {
    sql: String,
    need: Need,
}

/// The claim of a write on what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It may find nothing; it runs after the others.
    Nothing,
    /// It may find nothing, but runs before those that come after it.
    Order,
    /// It finds one at least; otherwise nothing of the batch is written.
    Row,
}

impl Need {
    /// The outcome of a write that ran by itself.
    pub(super) fn check(self, found: u64) -> Result<(), StoreError> {
        if found > 0 || self != Self::Row { Ok(()) } else { Err(StoreError::Stale) }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds a statement; the caller adds the values of its rows.
    pub(super) fn push(&mut self, sql: &str, rows: usize, need: Need) -> &mut PgArguments {
        let sql = for_rows(sql, rows);
        let values = highest_parameter(&sql);
        self.parts.push(Part { sql: renumbered(&sql, self.bound), need });
        self.bound += values;
        &mut self.arguments
    }

    /// Everything in it, as one statement.
    pub(super) fn take(&mut self) -> (String, PgArguments) {
        let Self { mut parts, arguments, .. } = std::mem::take(self);
        parts.sort_by_key(|part| lock_rank(&part.sql));
        if let [Part { need: Need::Nothing, .. }] = parts.as_slice() {
            return (parts.remove(0).sql, arguments);
        }
        let (mut sql, mut counts) = (String::from("WITH "), String::from("SELECT 1"));
        for (place, Part { sql: part, need }) in parts.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let returning = if *need == Need::Nothing { "" } else { " RETURNING 1" };
            let _ = write!(sql, "{comma}w{place} AS ({part}{returning})");
            let _ = match need {
                Need::Nothing => Ok(()),
                Need::Order => write!(counts, ", (SELECT count(*) FROM w{place})"),
                // By zero where none was found, which undoes the whole.
                Need::Row => write!(counts, ", 1 / (SELECT count(*) FROM w{place})"),
            };
        }
        sql.push(' ');
        sql.push_str(&counts);
        (sql, arguments)
    }
}

fn lock_rank(sql: &str) -> usize {
    let table = sql.split_whitespace().skip_while(|word| !["INTO", "UPDATE", "FROM"].contains(word)).nth(1);
    LOCK_ORDER.iter().position(|locked| Some(*locked) == table).unwrap_or(LOCK_ORDER.len())
}

/// The statement for several rows: its list of values, as often.
pub(super) fn for_rows(sql: &str, rows: usize) -> String {
    let Some((columns, values)) = sql.split_once("VALUES ").filter(|_| rows != 1) else { return sql.to_owned() };
    let step = highest_parameter(values);
    let values: Vec<String> = (0..rows).map(|row| renumbered(values, row * step)).collect();
    format!("{columns}VALUES {}", values.join(", "))
}

/// Each parameter, this much higher.
fn renumbered(sql: &str, by: usize) -> String {
    let mut parts = sql.split('$');
    let mut out = String::with_capacity(sql.len() + 64);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        let number: usize = number.parse().unwrap_or_default();
        let _ = write!(out, "${}{rest}", number + by);
    }
    out
}

fn highest_parameter(sql: &str) -> usize {
    let numbers = sql.split('$').skip(1).map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().unwrap_or_default()
    });
    numbers.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_become_one_statement_in_the_order_of_locks() {
        let mut batch = Batch::default();
        batch.push("DELETE FROM registrations WHERE id = $1", 1, Need::Order);
        batch.push("UPDATE users SET x = $2 WHERE id = $1", 1, Need::Row);
        batch.push("INSERT INTO outbox (x, y, z) VALUES ($1, 'queued', $2)", 2, Need::Nothing);
        let (sql, _) = batch.take();
        assert_eq!(
            sql,
            "WITH w0 AS (UPDATE users SET x = $3 WHERE id = $2 RETURNING 1), \
             w1 AS (DELETE FROM registrations WHERE id = $1 RETURNING 1), \
             w2 AS (INSERT INTO outbox (x, y, z) VALUES ($4, 'queued', $5), ($6, 'queued', $7)) \
             SELECT 1, 1 / (SELECT count(*) FROM w0), (SELECT count(*) FROM w1)"
        );
        assert!(batch.is_empty());
    }

    #[test]
    fn one_write_stays_as_it_is() {
        let mut batch = Batch::default();
        batch.push("INSERT INTO c (x) VALUES ($1)", 1, Need::Nothing);
        assert_eq!(batch.take().0, "INSERT INTO c (x) VALUES ($1)");
    }
}
