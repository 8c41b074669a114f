//! Writes of a transaction whose answers nobody needs: the database gets them together.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use sqlx::{Arguments as _, Encode, Postgres, Sqlite, Type, postgres::PgArguments, sqlite::SqliteArguments};

use super::{Sql, StoreError, dialect::fragment};

/// The writes since the last statement that was sent.
///
/// For PostgreSQL they become the common table expressions of one statement, which all see the database as it was before
/// it (PostgreSQL manual, 7.8.4): no two of them touch one row, and none reads what another writes. Those with a need are
/// counted, which runs them one after the other, in the order of locks; the rest follow. For SQLite they become one text
/// of several statements.
pub(super) struct Batch {
    parts: Vec<Part>,
    values: Values,
}

/// The values of its parameters, for the database that it goes to.
pub(super) enum Values {
    Postgres(PgArguments),
    Sqlite(SqliteArguments),
}

/// The ends of a transaction that go with SQLite's statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) begin: bool,
    pub(super) commit: bool,
}

pub(super) const SQLITE_BEGIN: &str = concat!(fragment!(sqlite BEGIN), "; ");

/// Overflows where the statement before it touched no row, which ends the whole.
const SQLITE_NEEDS_ROW: &str = "; SELECT abs(-9223372036854775807 - (changes() = 0))";

/// The order in which locks are taken everywhere; a session locks its user.
const LOCK_ORDER: [&str; 8] =
    ["destinations", "users", "sessions", "registrations", "verifications", "outbox", "events", "audit"];

/// A statement for so many rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    sql: &'static str,
    rows: usize,
    need: Need,
}

/// The texts of batches, by their parts: they are the same few again and again.
static TEXTS: LazyLock<Mutex<HashMap<TextKey, Arc<str>>>> = LazyLock::new(Mutex::default);

type TextKey = (Vec<Part>, Option<Ends>);

/// The claim of a write on what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Need {
    /// It may find nothing; it runs after the others.
    Nothing,
    /// It may find nothing, but runs before those that come after it.
    Order,
    /// It finds one at least; otherwise nothing of the batch is written.
    Row,
}

impl Values {
    pub(super) fn add<'v, T>(&mut self, value: T) -> Result<(), StoreError>
    where
        T: Encode<'v, Postgres> + Type<Postgres> + Encode<'v, Sqlite> + Type<Sqlite>,
    {
        match self {
            Self::Postgres(values) => values.add(value),
            Self::Sqlite(values) => values.add(value),
        }
        .map_err(|error| sqlx::Error::Encode(error).into())
    }

    fn empty(&self) -> Self {
        match self {
            Self::Postgres(_) => Self::Postgres(PgArguments::default()),
            Self::Sqlite(_) => Self::Sqlite(SqliteArguments::default()),
        }
    }
}

impl Batch {
    pub(super) fn new(values: Values) -> Self {
        Self { parts: Vec::new(), values }
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Adds a statement; the caller adds the values of its rows.
    pub(super) fn push(&mut self, statement: Sql, rows: usize, need: Need) -> &mut Values {
        let sql = if self.is_for_sqlite() { statement.sqlite } else { statement.postgres };
        self.parts.push(Part { sql, rows, need });
        &mut self.values
    }

    /// The most rows of one statement: SQLite looks each parameter up among all of it, by name.
    pub(super) fn rows_at_once(&self) -> usize {
        if self.is_for_sqlite() { 50 } else { usize::MAX }
    }

    pub(super) fn is_for_sqlite(&self) -> bool {
        matches!(self.values, Values::Sqlite(_))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.values.empty());
    }

    /// Everything in it, as one text; the ends are SQLite's.
    pub(super) fn take(&mut self, ends: Option<Ends>) -> (Arc<str>, Values) {
        let empty = Self::new(self.values.empty());
        let Self { parts, values } = std::mem::replace(self, empty);
        (text((parts, ends)), values)
    }
}

/// The text of a batch, built at its first use.
fn text(batch: TextKey) -> Arc<str> {
    const MOST: usize = 256;
    const LONGEST: usize = 16 * 1024;
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = texts.get(&batch) {
        return Arc::clone(text);
    }
    let mut bound = 0;
    let number = |part: &Part| {
        let sql = for_rows(part.sql, part.rows);
        let numbered = renumbered(&sql, bound);
        bound += highest_parameter(&sql);
        (numbered, part.need)
    };
    let numbered: Vec<_> = batch.0.iter().map(number).collect();
    let text: Arc<str> = batch.1.map_or_else(|| statement(&numbered), |ends| script(&numbered, ends)).into();
    if texts.len() < MOST && text.len() < LONGEST {
        texts.insert(batch, Arc::clone(&text));
    }
    text
}

fn script(parts: &[(String, Need)], ends: Ends) -> String {
    let mut sql = String::from(if ends.begin { SQLITE_BEGIN } else { "" });
    for (place, (part, need)) in parts.iter().enumerate() {
        sql.push_str(if place == 0 { "" } else { "; " });
        sql.push_str(part);
        sql.push_str(if *need == Need::Row { SQLITE_NEEDS_ROW } else { "" });
    }
    sql.push_str(if ends.commit { "; COMMIT" } else { "" });
    sql
}

fn statement(parts: &[(String, Need)]) -> String {
    if let [(part, Need::Nothing)] = parts {
        return part.clone();
    }
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|(part, _)| lock_rank(part));
    let (mut sql, mut counts) = (String::from("WITH "), String::from("SELECT 1"));
    for (place, (part, need)) in parts.into_iter().enumerate() {
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
    sql
}

fn lock_rank(sql: &str) -> usize {
    let table = sql.split_whitespace().skip_while(|word| !["INTO", "UPDATE", "FROM"].contains(word)).nth(1);
    LOCK_ORDER.iter().position(|locked| Some(*locked) == table).unwrap_or(LOCK_ORDER.len())
}

/// The statement for several rows: its list of values, as often.
fn for_rows(sql: &str, rows: usize) -> String {
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

    type Write = (&'static str, usize, Need);

    const WRITES: [Write; 3] = [
        ("DELETE FROM registrations WHERE id = $1", 1, Need::Order),
        ("UPDATE users SET x = $2 WHERE id = $1", 1, Need::Row),
        ("INSERT INTO outbox (x, y, z) VALUES ($1, 'queued', $2)", 2, Need::Nothing),
    ];

    fn text_of(values: Values, writes: &[Write]) -> String {
        let mut batch = Batch::new(values);
        let ends = batch.is_for_sqlite().then_some(Ends { begin: true, commit: true });
        for (sql, rows, need) in writes {
            batch.push(Sql { postgres: sql, sqlite: sql }, *rows, *need);
        }
        let (text, _) = batch.take(ends);
        assert_eq!(batch.len(), 0);
        text.to_string()
    }

    #[test]
    fn writes_become_one_statement_in_the_order_of_locks() {
        assert_eq!(
            text_of(Values::Postgres(PgArguments::default()), &WRITES),
            "WITH w0 AS (UPDATE users SET x = $3 WHERE id = $2 RETURNING 1), \
             w1 AS (DELETE FROM registrations WHERE id = $1 RETURNING 1), \
             w2 AS (INSERT INTO outbox (x, y, z) VALUES ($4, 'queued', $5), ($6, 'queued', $7)) \
             SELECT 1, 1 / (SELECT count(*) FROM w0), (SELECT count(*) FROM w1)"
        );
    }

    #[test]
    fn writes_become_one_text_for_sqlite() {
        assert_eq!(
            text_of(Values::Sqlite(SqliteArguments::default()), &WRITES),
            "BEGIN IMMEDIATE; DELETE FROM registrations WHERE id = $1; UPDATE users SET x = $3 WHERE id = $2; \
             SELECT abs(-9223372036854775807 - (changes() = 0)); \
             INSERT INTO outbox (x, y, z) VALUES ($4, 'queued', $5), ($6, 'queued', $7); COMMIT"
        );
    }

    #[test]
    fn one_write_stays_as_it_is() {
        let one = [("INSERT INTO c (x) VALUES ($1)", 1, Need::Nothing)];
        assert_eq!(text_of(Values::Postgres(PgArguments::default()), &one), "INSERT INTO c (x) VALUES ($1)");
    }
}
