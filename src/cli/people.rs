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
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).from_path(file).with_context(|| file.display().to_string())?;
    let header = reader.headers().with_context(|| file.display().to_string())?;
    if header.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).ne(HEADER) {
        bail!("{}: the first line is not {}", file.display(), HEADER.join(","));
    }
    let (mut people, mut wrong, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                wrong.push((line, "is not UTF-8, or no CSV".to_owned()));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
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
