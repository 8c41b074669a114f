//! Files of accounts: CSV, or a JSON object a line.

use std::{collections::HashMap, ffi::OsStr, path::Path};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use serde_json::Value;

use super::account_fields::{COLUMNS, Cells, parse_account};
use crate::domain::{AccountDetails, PhoneRules, parse_json};

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values
    Csv,
    /// A JSON object a line
    Jsonl,
}

impl Format {
    /// That of a file with this name.
    pub(super) fn of(file: &Path) -> Self {
        let extension = file.extension().map(OsStr::to_ascii_lowercase);
        match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson" | "json") => Self::Jsonl,
            _ => Self::Csv,
        }
    }
}

/// Accounts with the lines they stand in, and what is wrong with the other lines.
pub(super) type ParsedLines = (Vec<(u64, AccountDetails)>, Vec<(u64, String)>);

/// An export has these, which follow from the rest or end with the old service.
const NOT_IMPORTED: [&str; 5] = ["is_active", "has_password", "updated_at", "sessions", "mobile_number"];

/// Collects lines, and finds those that are about one person.
#[derive(Default)]
struct Lines {
    accounts: Vec<(u64, AccountDetails)>,
    invalid: Vec<(u64, String)>,
    seen: HashMap<String, u64>,
}

impl Lines {
    fn add(&mut self, line: u64, account: Result<AccountDetails, String>) {
        let unique =
            account.and_then(|account| match account.keys().into_iter().find_map(|key| self.seen.insert(key, line)) {
                Some(other) => Err(format!("same person as line {other}")),
                None => Ok(account),
            });
        match unique {
            Ok(account) => self.accounts.push((line, account)),
            Err(message) => self.invalid.push((line, message)),
        }
    }
}

/// Reads a whole file before anything is made of it.
pub(super) fn read_accounts(file: &Path, format: Format, phone: &PhoneRules) -> anyhow::Result<ParsedLines> {
    let text = std::fs::read(file).with_context(|| file.display().to_string())?;
    let mut lines = Lines::default();
    match format {
        Format::Csv => read_csv(&text, &mut lines, phone).with_context(|| file.display().to_string())?,
        Format::Jsonl => read_json_lines(&text, &mut lines, phone),
    }
    Ok((lines.accounts, lines.invalid))
}

fn read_csv(text: &[u8], lines: &mut Lines, phone: &PhoneRules) -> anyhow::Result<()> {
    let mut counter = LineCounter { text, position: 0, line: 1 };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let columns = columns(reader.headers()?)?;
    for record in reader.records() {
        let position = record.as_ref().map_or_else(csv::Error::position, csv::StringRecord::position);
        let line = counter.line_of(position);
        if record.as_ref().is_ok_and(|record| record.len() > 1 && record.iter().all(|cell| cell.trim().is_empty())) {
            continue; // commas alone, as spreadsheets leave them
        }
        let account = record.map_err(|_| "is not UTF-8, or not CSV".to_owned()).and_then(|record| {
            if record.len() != columns.len() {
                return Err(format!("has {} cells, not {}", record.len(), columns.len()));
            }
            let mut cells = Cells::default();
            for (column, cell) in columns.iter().zip(&record) {
                cells[*column] = cell;
            }
            parse_account(cells, phone)
        });
        lines.add(line, account);
    }
    Ok(())
}

/// The places of the header's columns in [`COLUMNS`].
fn columns(header: &csv::StringRecord) -> anyhow::Result<Vec<usize>> {
    let mut columns = Vec::new();
    for name in header {
        let plain = name.trim_start_matches('\u{feff}').trim().to_ascii_lowercase();
        let Some(column) = COLUMNS.iter().position(|column| *column == plain) else {
            bail!("unknown column {name:?} in the first line; columns are {}", COLUMNS.join(","));
        };
        ensure!(!columns.contains(&column), "column {plain} stands twice in the first line");
        columns.push(column);
    }
    ensure!(columns.contains(&1) || columns.contains(&2), "the first line has neither mobile nor email");
    Ok(columns)
}

fn read_json_lines(text: &[u8], lines: &mut Lines, phone: &PhoneRules) {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if !line.trim_ascii().is_empty() {
            lines.add(number, parse_json_line(line, phone));
        }
    }
}

fn parse_json_line(line: &[u8], phone: &PhoneRules) -> Result<AccountDetails, String> {
    let parsed = std::str::from_utf8(line).ok().and_then(parse_json);
    let Some(Value::Object(object)) = parsed else { return Err("is not a JSON object, each name once".to_owned()) };
    if object.get("is_active") == Some(&Value::Bool(false)) {
        return Err("is_active is false: a disabled account is not imported".to_owned());
    }
    let mut texts: [String; COLUMNS.len()] = Default::default();
    for (name, value) in object {
        let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
            if NOT_IMPORTED.contains(&name.as_str()) {
                continue;
            }
            return Err(format!("unknown field {name:?}; fields are {}", COLUMNS.join(",")));
        };
        texts[column] = match value {
            Value::Null => continue,
            Value::String(text) => text,
            value @ Value::Object(_) if matches!(COLUMNS[column], "data" | "claims") => value.to_string(),
            value @ Value::Bool(_) if COLUMNS[column].ends_with("_verified") => value.to_string(),
            _ => return Err(format!("{name} has the wrong type")),
        };
    }
    parse_account(texts.each_ref().map(String::as_str), phone)
}

/// Counts lines as an editor does: the parser's own count stops before line ends that it skips.
struct LineCounter<'a> {
    text: &'a [u8],
    /// Lines before it are counted.
    position: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line of a position; positions must not decrease.
    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let position = position.map_or(0, csv::Position::byte);
        let position = usize::try_from(position).unwrap_or(usize::MAX).clamp(self.position, self.text.len());
        let skipped = self.text[position..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let ends = self.text[self.position..position + skipped].split(|byte| *byte == b'\n').count() - 1;
        self.position = position + skipped;
        self.line += u64::try_from(ends).unwrap_or(0);
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Region;

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        let rules = PhoneRules { default_region: Region::IN, allowed_regions: vec![] };
        let file = tempfile::NamedTempFile::new().unwrap();
        let invalid_lines = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            let (_, invalid) = read_accounts(file.path(), Format::Csv, &rules).unwrap();
            invalid.into_iter().map(|(line, _)| line).collect::<Vec<_>>()
        };
        let good = "a.1,9876543210,,\"Ann, B.\",";
        assert_eq!(invalid_lines(&format!("login_id,mobile,email,name,locale\n{good}\nb.1,x,,,\n,,,x,\n")), [3, 4]);
        assert_eq!(
            invalid_lines(&format!("login_id,mobile,email,name,locale\r\n{good}\r\nb.1,x,,,\r\n,,,x,\r\n")),
            [3, 4]
        );
        assert_eq!(invalid_lines(&format!("\u{feff}login_id,mobile,email,name,locale\n\n\n{good}\n\nb.1,x,,,")), [6]);
        assert_eq!(invalid_lines("login_id,mobile,email,name,locale\r\n\r\n   \r\n"), [3]);
    }
}
