//! The fields of an account as operators write them, in a file or as options.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{
    crypto::ForeignHash,
    domain::{
        AccountDetails, Email, FieldCode, FieldError, Identifiers, JsonObject, Locale, LoginId, Mobile, PersonName,
        PhoneRules, Timestamp, parse_json,
    },
};

/// The names of the fields.
pub(super) const COLUMNS: [&str; 12] = [
    "login_id",
    "mobile",
    "email",
    "name",
    "locale",
    "id",
    "password_hash",
    "email_verified",
    "mobile_verified",
    "created_at",
    "data",
    "claims",
];

/// A text for each of [`COLUMNS`]; an empty one means that the field is not given.
pub(super) type Cells<'a> = [&'a str; COLUMNS.len()];

/// Parses the fields one by one, and collects everything that is wrong.
#[derive(Default)]
struct Fields {
    errors: Vec<String>,
}

impl Fields {
    fn given<T>(&mut self, cell: &str, parse: impl FnOnce(&str) -> Result<T, FieldError>) -> Option<T> {
        let parsed = Some(cell.trim()).filter(|cell| !cell.is_empty()).map(parse).transpose();
        parsed.unwrap_or_else(|error| {
            self.errors.push(error.to_string());
            None
        })
    }
}

/// Parses an account. Reports everything that is wrong, and no value.
pub(super) fn parse_account(cells: Cells<'_>, phone: &PhoneRules) -> Result<AccountDetails, String> {
    let [login_id, mobile, email, name, locale, id, hash, email_verified, mobile_verified, created_at, data, claims] =
        cells;
    let mut fields = Fields::default();
    let details = AccountDetails {
        id: fields.given(id, account_id),
        identifiers: Identifiers {
            login_id: fields.given(login_id, LoginId::parse),
            mobile: fields.given(mobile, |text| Mobile::parse(text, phone)),
            email: fields.given(email, Email::parse),
        },
        email_unverified: fields.given(email_verified, |text| flag("email_verified", text)) == Some(false),
        mobile_unverified: fields.given(mobile_verified, |text| flag("mobile_verified", text)) == Some(false),
        name: fields.given(name, PersonName::parse),
        locale: fields.given(locale, Locale::parse),
        data: fields.given(data, |text| object("data", text)?.checked_as_data()),
        claims: fields.given(claims, |text| object("claims", text)?.checked_as_claims()),
        password_hash: fields.given(hash, password_hash),
        created_at: fields.given(created_at, moment),
    };
    let Fields { mut errors } = fields;
    if details.identifiers.destination().is_none() && errors.is_empty() {
        errors.push("mobile or email is required".to_owned());
    }
    if details.keys().is_empty() && errors.is_empty() {
        errors.push("id or login_id is required where no address is verified".to_owned());
    }
    if errors.is_empty() { Ok(details) } else { Err(errors.join("; ")) }
}

/// Parses claims, alone.
pub(super) fn parse_claims(text: &str) -> Result<JsonObject, String> {
    let claims = object("claims", text).and_then(JsonObject::checked_as_claims);
    claims.map_err(|error| error.message.into_owned())
}

fn account_id(text: &str) -> Result<Uuid, FieldError> {
    let id = Uuid::try_parse(text).ok().filter(|id| !id.is_nil());
    id.ok_or_else(|| FieldError::new("id", FieldCode::Invalid, "is not a UUID"))
}

fn password_hash(text: &str) -> Result<String, FieldError> {
    let invalid = |error: crate::crypto::ForeignHashError| {
        FieldError::new("password_hash", FieldCode::Invalid, error.to_string())
    };
    ForeignHash::parse(text).map(|_| text.to_owned()).map_err(invalid)
}

/// As JSON, PostgreSQL and spreadsheets write it.
fn flag(field: &'static str, text: &str) -> Result<bool, FieldError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(FieldError::new(field, FieldCode::Invalid, "must be true or false")),
    }
}

fn object(field: &'static str, text: &str) -> Result<JsonObject, FieldError> {
    let value = parse_json(text).ok_or_else(|| FieldError::new(field, FieldCode::Invalid, "is not valid JSON"))?;
    JsonObject::parse(field, value)
}

/// RFC 3339, with a blank for the `T` and hours alone as the offset too, as PostgreSQL writes it.
fn moment(text: &str) -> Result<Timestamp, FieldError> {
    let mut text = text.replacen(' ', "T", 1);
    let before_hours = text.len().checked_sub(3).map(|place| text.as_bytes()[place]);
    if matches!(before_hours, Some(b'+' | b'-')) && text.contains(':') {
        text.push_str(":00");
    }
    let invalid = || FieldError::new("created_at", FieldCode::Invalid, "is not a time such as 2024-05-17T09:30:00Z");
    let moment = OffsetDateTime::parse(&text, &Rfc3339).ok().filter(|at| (1970..=9999).contains(&at.year()));
    moment.map(Timestamp::from).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_json_and_postgresql_write_them() {
        let millis = |text: &str| moment(text).unwrap().millis();
        let expected = 1_715_938_200_000;
        for text in
            ["2024-05-17T09:30:00Z", "2024-05-17 09:30:00+00", "2024-05-17 15:00:00+05:30", "2024-05-17 07:30:00-02"]
        {
            assert_eq!(millis(text), expected, "{text}");
        }
        for text in ["2024-05-17", "17.5.2024", "1715938200", "1969-12-31T00:00:00Z", "2024-05-17T09:30:00"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}", digits in "[0-9T:+. Z-]{0,30}é?") {
            let _ = (moment(&text), moment(&digits), flag("email_verified", &text), parse_claims(&text));
        }
    }
}
