//! Identifiers as columns.

use crate::domain::{Email, Identifiers, LoginId, Mobile, TakenIdentifier};

/// The columns that hold identifiers, for binding.
pub(super) struct IdentifierColumns<'a> {
    pub(super) email: Option<&'a str>,
    pub(super) email_key: Option<String>,
    pub(super) mobile: Option<&'a str>,
    pub(super) login_id: Option<&'a str>,
    pub(super) login_id_key: Option<String>,
}

impl<'a> From<&'a Identifiers> for IdentifierColumns<'a> {
    fn from(identifiers: &'a Identifiers) -> Self {
        let Identifiers { email, mobile, login_id } = identifiers;
        Self {
            email: email.as_ref().map(Email::as_str),
            email_key: email.as_ref().map(Email::key),
            mobile: mobile.as_ref().map(Mobile::as_str),
            login_id: login_id.as_ref().map(LoginId::as_str),
            login_id_key: login_id.as_ref().map(LoginId::key),
        }
    }
}

/// The columns that hold identifiers, in a row.
#[derive(sqlx::FromRow)]
pub(super) struct IdentifierRow {
    email: Option<String>,
    mobile: Option<String>,
    login_id: Option<String>,
}

impl From<IdentifierRow> for Identifiers {
    fn from(row: IdentifierRow) -> Self {
        Self {
            email: row.email.map(Email::from_stored),
            mobile: row.mobile.map(Mobile::from_stored),
            login_id: row.login_id.map(LoginId::from_stored),
        }
    }
}

/// The identifiers that other accounts have.
#[derive(sqlx::FromRow)]
pub(super) struct TakenRow {
    mobile_taken: bool,
    pub(super) email_taken: bool,
    login_id_taken: bool,
}

impl From<TakenRow> for Option<TakenIdentifier> {
    fn from(row: TakenRow) -> Self {
        let taken = [
            (row.mobile_taken, TakenIdentifier::Mobile),
            (row.email_taken, TakenIdentifier::Email),
            (row.login_id_taken, TakenIdentifier::LoginId),
        ];
        taken.into_iter().find_map(|(is_taken, identifier)| is_taken.then_some(identifier))
    }
}
