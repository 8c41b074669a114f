//! Accounts as operators describe them: in a CSV file, or as options.

use std::{collections::HashMap, path::Path};

use anyhow::{Context as _, bail, ensure};

use crate::domain::{AccountDetails, Email, FieldError, Identifiers, Locale, LoginId, Mobile, PersonName, PhoneRules};

/// The columns, in any order and case; those that are left out are empty.
const COLUMNS: [&str; 5] = ["login_id", "mobile", "email", "name", "locale"];

/// Accounts with the lines they stand in, and what is wrong with the other lines.
pub(super) type ParsedLines = (Vec<(u64, AccountDetails)>, Vec<(u64, String)>);

/// Parses an account; an empty cell means that the field is not given. Reports everything that is wrong.
pub(super) fn parse_account(cells: [&str; 5], phone: &PhoneRules) -> Result<AccountDetails, String> {
    fn given<T>(errors: &mut Vec<String>, cell: &str, parse: impl FnOnce(&str) -> Result<T, FieldError>) -> Option<T> {
        let parsed = Some(cell.trim()).filter(|cell| !cell.is_empty()).map(parse).transpose();
        parsed.unwrap_or_else(|error| {
            errors.push(error.to_string());
            None
        })
    }
    let ([login_id, mobile, email, name, locale], mut errors) = (cells, Vec::new());
    let details = AccountDetails {
        identifiers: Identifiers {
            login_id: given(&mut errors, login_id, LoginId::parse),
            mobile: given(&mut errors, mobile, |text| Mobile::parse(text, phone)),
            email: given(&mut errors, email, Email::parse),
        },
        name: given(&mut errors, name, PersonName::parse),
        locale: given(&mut errors, locale, Locale::parse),
        ..AccountDetails::default()
    };
    if details.identifiers.destination().is_none() && errors.is_empty() {
        errors.push("mobile or email is required".to_owned());
    }
    if errors.is_empty() { Ok(details) } else { Err(errors.join("; ")) }
}

/// Reads a whole file before anything is made of it.
pub(super) fn read_accounts(file: &Path, phone: &PhoneRules) -> anyhow::Result<ParsedLines> {
    let text = std::fs::read(file).with_context(|| file.display().to_string())?;
    let mut lines = LineCounter { text: &text, position: 0, line: 1 };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_slice());
    let header = reader.headers().with_context(|| file.display().to_string())?;
    let columns = columns(header).with_context(|| file.display().to_string())?;
    let (mut accounts, mut invalid, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    for record in reader.records() {
        let position = record.as_ref().map_or_else(csv::Error::position, csv::StringRecord::position);
        let line = lines.line_of(position);
        if record.as_ref().is_ok_and(|record| record.len() > 1 && record.iter().all(|cell| cell.trim().is_empty())) {
            continue; // commas alone, as spreadsheets leave them
        }
        let account = record.map_err(|_| "is not UTF-8, or not CSV".to_owned()).and_then(|record| {
            if record.len() != columns.len() {
                return Err(format!("has {} cells, not {}", record.len(), columns.len()));
            }
            let mut cells = [""; 5];
            for (column, cell) in columns.iter().zip(&record) {
                cells[*column] = cell;
            }
            parse_account(cells, phone)
        });
        let unique = account.and_then(|account| {
            let keys = account.identifiers.keys();
            match keys.into_iter().find_map(|key| seen.insert(key, line)) {
                Some(other) => Err(format!("same person as line {other}")),
                None => Ok(account),
            }
        });
        match unique {
            Ok(account) => accounts.push((line, account)),
            Err(message) => invalid.push((line, message)),
        }
    }
    Ok((accounts, invalid))
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
            let (_, invalid) = read_accounts(file.path(), &rules).unwrap();
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
