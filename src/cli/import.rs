//! People as operators write them down: in a CSV file, or as arguments.

use std::{collections::HashMap, path::Path};

use anyhow::{Context as _, bail};

use crate::{
    domain::{Email, FieldCode, FieldError, Locale, LoginId, Mobile, PersonName, PhoneRules},
    services::Person,
};

/// In this order.
const HEADER: [&str; 5] = ["login_id", "mobile", "email", "name", "locale"];

/// People with the lines they stand in, and what is wrong with the other lines.
pub(super) type Read = (Vec<(u64, Person)>, Vec<(u64, String)>);

/// An empty cell says nothing.
pub(super) fn person(cells: [&str; 5], phone: &PhoneRules) -> Result<Person, FieldError> {
    fn told<T>(cell: &str, parse: impl FnOnce(&str) -> Result<T, FieldError>) -> Result<Option<T>, FieldError> {
        Some(cell.trim()).filter(|cell| !cell.is_empty()).map(parse).transpose()
    }
    let [login_id, mobile, email, name, locale] = cells;
    let person = Person {
        login_id: told(login_id, LoginId::parse)?,
        mobile: told(mobile, |text| Mobile::parse(text, phone))?,
        email: told(email, Email::parse)?,
        name: told(name, PersonName::parse)?,
        locale: told(locale, Locale::parse)?,
    };
    if person.mobile.is_none() && person.email.is_none() {
        return Err(FieldError::new("mobile", FieldCode::Required, "or an email is needed"));
    }
    Ok(person)
}

/// Reads a whole file before anything is made of it.
pub(super) fn read_people(file: &Path, phone: &PhoneRules) -> anyhow::Result<Read> {
    let text = std::fs::read(file).with_context(|| file.display().to_string())?;
    let mut lines = Lines { text: &text, at: 0, line: 1 };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_slice());
    let header = reader.headers().with_context(|| file.display().to_string())?;
    if header.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).ne(HEADER) {
        bail!("{}: the first line is not {}", file.display(), HEADER.join(","));
    }
    let (mut people, mut wrong, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = lines.of(error.position());
                wrong.push((line, "is not UTF-8, or no CSV".to_owned()));
                continue;
            }
        };
        let line = lines.of(record.position());
        let cells: Vec<&str> = record.iter().collect();
        let Ok(cells) = <[&str; 5]>::try_from(cells) else {
            wrong.push((line, format!("has {} cells, not {}", record.len(), HEADER.len())));
            continue;
        };
        match person(cells, phone) {
            Err(error) => wrong.push((line, error.to_string())),
            Ok(person) => {
                let twice = person.keys().into_iter().find_map(|key| seen.insert(key, line));
                match twice {
                    Some(other) => wrong.push((line, format!("names whom line {other} names"))),
                    None => people.push((line, person)),
                }
            }
        }
    }
    Ok((people, wrong))
}

/// Counts lines as an editor does: the parser's own count stops before line ends that it skips.
struct Lines<'a> {
    text: &'a [u8],
    /// Counted up to here.
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of a place that is not before the last one asked for.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let place = position.map_or(0, csv::Position::byte);
        let place = usize::try_from(place).unwrap_or(usize::MAX).clamp(self.at, self.text.len());
        let skipped = self.text[place..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let ends = self.text[self.at..place + skipped].split(|byte| *byte == b'\n').count() - 1;
        self.at = place + skipped;
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
        let wrong = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            let (_, wrong) = read_people(file.path(), &rules).unwrap();
            wrong.into_iter().map(|(line, _)| line).collect::<Vec<_>>()
        };
        let good = "a.1,9876543210,,\"Ann, B.\",";
        assert_eq!(wrong(&format!("login_id,mobile,email,name,locale\n{good}\nb.1,x,,,\n,,,,\n")), [3, 4]);
        assert_eq!(wrong(&format!("login_id,mobile,email,name,locale\r\n{good}\r\nb.1,x,,,\r\n,,,,\r\n")), [3, 4]);
        assert_eq!(wrong(&format!("\u{feff}login_id,mobile,email,name,locale\n\n\n{good}\n\nb.1,x,,,")), [6]);
        assert_eq!(wrong("login_id,mobile,email,name,locale\r\n\r\n   \r\n"), [3]);
    }
}
