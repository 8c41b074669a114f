//! Accounts as operators describe them: in a CSV file, or as options.

use std::{collections::HashMap, path::Path};

use anyhow::{Context as _, bail};

use crate::{
    domain::{Email, FieldCode, FieldError, Identifiers, Locale, LoginId, Mobile, PersonName, PhoneRules},
    services::AccountDetails,
};

/// In this order.
const HEADER: [&str; 5] = ["login_id", "mobile", "email", "name", "locale"];

/// Accounts with the lines they stand in, and what is wrong with the other lines.
pub(super) type ParsedLines = (Vec<(u64, AccountDetails)>, Vec<(u64, String)>);

/// Parses an account; an empty cell means that the field is not given.
pub(super) fn parse_account(cells: [&str; 5], phone: &PhoneRules) -> Result<AccountDetails, FieldError> {
    fn given<T>(cell: &str, parse: impl FnOnce(&str) -> Result<T, FieldError>) -> Result<Option<T>, FieldError> {
        Some(cell.trim()).filter(|cell| !cell.is_empty()).map(parse).transpose()
    }
    let [login_id, mobile, email, name, locale] = cells;
    let identifiers = Identifiers {
        login_id: given(login_id, LoginId::parse)?,
        mobile: given(mobile, |text| Mobile::parse(text, phone))?,
        email: given(email, Email::parse)?,
    };
    let (name, locale) = (given(name, PersonName::parse)?, given(locale, Locale::parse)?);
    if identifiers.destination().is_none() {
        return Err(FieldError::new("mobile", FieldCode::Required, "or email is required"));
    }
    Ok(AccountDetails { identifiers, name, locale })
}

/// Reads a whole file before anything is made of it.
pub(super) fn read_accounts(file: &Path, phone: &PhoneRules) -> anyhow::Result<ParsedLines> {
    let text = std::fs::read(file).with_context(|| file.display().to_string())?;
    let mut lines = LineCounter { text: &text, position: 0, line: 1 };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_slice());
    let header = reader.headers().with_context(|| file.display().to_string())?;
    if header.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).ne(HEADER) {
        bail!("{}: the first line is not {}", file.display(), HEADER.join(","));
    }
    let (mut accounts, mut invalid, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    for record in reader.records() {
        let position = record.as_ref().map_or_else(csv::Error::position, csv::StringRecord::position);
        let line = lines.line_of(position);
        let account = record.map_err(|_| "is not UTF-8, or not CSV".to_owned()).and_then(|record| {
            let cells: Vec<&str> = record.iter().collect();
            let cells = <[&str; 5]>::try_from(cells);
            let cells = cells.map_err(|cells| format!("has {} cells, not {}", cells.len(), HEADER.len()))?;
            parse_account(cells, phone).map_err(|error| error.to_string())
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
        assert_eq!(invalid_lines(&format!("login_id,mobile,email,name,locale\n{good}\nb.1,x,,,\n,,,,\n")), [3, 4]);
        assert_eq!(
            invalid_lines(&format!("login_id,mobile,email,name,locale\r\n{good}\r\nb.1,x,,,\r\n,,,,\r\n")),
            [3, 4]
        );
        assert_eq!(invalid_lines(&format!("\u{feff}login_id,mobile,email,name,locale\n\n\n{good}\n\nb.1,x,,,")), [6]);
        assert_eq!(invalid_lines("login_id,mobile,email,name,locale\r\n\r\n   \r\n"), [3]);
    }
}
