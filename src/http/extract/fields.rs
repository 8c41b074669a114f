//! The fields that several calls share, and what is wrong with them.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::json::{JsonField, JsonValueField};
use crate::{
    domain::{
        Address, AppHash, DataUpdate, Email, FieldCode, FieldError, FieldUpdate, JsonObject, LoginId, Mobile,
        OneTimeCode, Password, PhoneRules,
    },
    engine::{self, VerificationRef},
    error::Error,
};

/// Parses fields one by one and collects everything that is wrong.
#[derive(Default)]
pub(in crate::http) struct Fields {
    errors: Vec<FieldError>,
}

impl Fields {
    /// The field under its name or its alias for older clients; both at once are an error.
    pub(in crate::http) fn either(&mut self, name: &'static str, field: JsonField, alias: JsonField) -> JsonField {
        match (field, alias) {
            (JsonField::Absent | JsonField::Null, alias) => alias,
            (field, JsonField::Absent | JsonField::Null) => field,
            _ => {
                self.error(name, FieldCode::Invalid, "must not be sent together with its alias");
                JsonField::Absent
            }
        }
    }

    pub(in crate::http) fn optional<T>(
        &mut self,
        name: &'static str,
        field: JsonField,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<T> {
        match field {
            JsonField::Absent | JsonField::Null => None,
            JsonField::Text(text) => parse(&text).map_err(|error| self.errors.push(error)).ok(),
            JsonField::WrongType => {
                self.error(name, FieldCode::Invalid, "must be a string in quotes");
                None
            }
            JsonField::HasNul => {
                self.error(name, FieldCode::Invalid, "must not contain NUL");
                None
            }
        }
    }

    pub(in crate::http) fn required<T>(
        &mut self,
        name: &'static str,
        field: JsonField,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<T> {
        if field.is_absent() && !self.has_error_of(&[name]) {
            self.error(name, FieldCode::Required, "is required");
        }
        self.optional(name, field, parse)
    }

    /// A field that is taken as it was sent.
    pub(in crate::http) fn text(&mut self, name: &'static str, field: JsonField) -> Option<String> {
        self.optional(name, field, |text| Ok(text.to_owned()))
    }

    /// An update: absent keeps the value, null clears it.
    pub(in crate::http) fn update<T>(
        &mut self,
        name: &'static str,
        field: JsonField,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
        text: impl FnOnce(T) -> String,
    ) -> FieldUpdate {
        match field {
            JsonField::Absent => FieldUpdate::Keep,
            JsonField::Null => FieldUpdate::Set(None),
            field => {
                let value = self.optional(name, field, parse);
                value.map_or(FieldUpdate::Keep, |value| FieldUpdate::Set(Some(text(value))))
            }
        }
    }

    /// A JSON object; null is none.
    pub(in crate::http) fn object(&mut self, name: &'static str, field: JsonValueField) -> Option<JsonObject> {
        let JsonValueField::Value(value) = field else { return None };
        self.checked(JsonObject::parse(name, value))
    }

    /// True or false; false is the default.
    pub(in crate::http) fn flag(&mut self, name: &'static str, field: JsonValueField) -> bool {
        match field {
            JsonValueField::Absent | JsonValueField::Null => false,
            JsonValueField::Value(Value::Bool(flag)) => flag,
            JsonValueField::Value(Value::String(text)) if text.is_empty() => false, // a form's empty field
            JsonValueField::Value(_) => {
                self.error(name, FieldCode::Invalid, "must be true or false");
                false
            }
        }
    }

    /// The value, unless it was found wrong.
    pub(in crate::http) fn checked<T>(&mut self, checked: Result<T, FieldError>) -> Option<T> {
        checked.map_err(|error| self.errors.push(error)).ok()
    }

    /// A new account's `data`.
    pub(in crate::http) fn data(&mut self, field: JsonValueField) -> JsonObject {
        let data = self.object("data", field).unwrap_or_default();
        self.checked(data.checked_as_data()).unwrap_or_default()
    }

    /// An update of `data`: a merge patch.
    pub(in crate::http) fn data_update(&mut self, field: JsonValueField) -> DataUpdate {
        match field {
            JsonValueField::Absent => DataUpdate::Keep,
            JsonValueField::Null => DataUpdate::Clear,
            field @ JsonValueField::Value(_) => self.object("data", field).map_or(DataUpdate::Keep, DataUpdate::Merge),
        }
    }

    pub(in crate::http) fn error(&mut self, field: &'static str, code: FieldCode, message: &'static str) {
        self.errors.push(FieldError::new(field, code, message));
    }

    pub(in crate::http) fn has_error_of(&self, fields: &[&str]) -> bool {
        self.errors.iter().any(|error| fields.contains(&error.field))
    }

    /// The parsed request, or everything that was wrong with it; `parsed` is `None` only if something was.
    pub(in crate::http) fn finish<T>(self, parsed: Option<T>) -> Result<T, Error> {
        match parsed {
            Some(parsed) if self.errors.is_empty() => Ok(parsed),
            _ => Err(Error::Invalid(self.errors)),
        }
    }
}

/// An email or a mobile.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct AddressFields {
    /// As people type it; not together with `email`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "9876543210")]
    mobile: JsonField,
    #[serde(default, rename = "mobileNumber")]
    #[schema(ignore)]
    mobile_number: JsonField,
    /// Not together with `mobile`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ann@example.com")]
    email: JsonField,
}

impl AddressFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields, phone: &PhoneRules) -> Option<Address> {
        let mobile = fields.either("mobile", self.mobile, self.mobile_number);
        let mobile = fields.optional("mobile", mobile, |text| Mobile::parse(text, phone));
        let email = fields.optional("email", self.email, Email::parse);
        if mobile.is_some() && email.is_some() {
            fields.error("email", FieldCode::TooManyIdentifiers, "send either `mobile` or `email`, not both");
        }
        mobile.map(Address::Mobile).or(email.map(Address::Email))
    }

    pub(in crate::http) fn required(self, fields: &mut Fields, phone: &PhoneRules) -> Option<Address> {
        let address = self.parse(fields, phone);
        require_address(fields, address.as_ref());
        address
    }
}

/// Reports a missing address, unless a wrong one was reported.
pub(in crate::http) fn require_address(fields: &mut Fields, address: Option<&Address>) {
    if address.is_none() && !fields.has_error_of(&["mobile", "email"]) {
        fields.error("mobile", FieldCode::Required, "or `email` is required");
    }
}

/// A login id.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct LoginIdFields {
    /// A name to log in by.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ann.b")]
    login_id: JsonField,
    #[serde(default, rename = "loginId")]
    #[schema(ignore)]
    login_id_alias: JsonField,
}

impl LoginIdFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields) -> Option<LoginId> {
        let login_id = fields.either("login_id", self.login_id, self.login_id_alias);
        fields.optional("login_id", login_id, LoginId::parse)
    }
}

/// The solution of a challenge.
#[derive(Deserialize, ToSchema, Default)]
pub(in crate::http) struct ChallengeFields {
    /// The solution of the `challenge` of a 403 `challenge_required`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    challenge: JsonField,
}

impl ChallengeFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields) -> Option<String> {
        fields.text("challenge", self.challenge)
    }
}

/// The Android app that asks for a code.
#[derive(Deserialize, ToSchema, Default)]
pub(in crate::http) struct AppHashFields {
    /// The hash of an Android app, one of `notify.android_apps`: it ends the text message, for the SMS Retriever.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    app_hash: JsonField,
}

impl AppHashFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields, listed: &[AppHash]) -> Option<AppHash> {
        fields.optional("app_hash", self.app_hash, |text| AppHash::parse_listed(text, listed))
    }
}

/// A verification, named by its id, by an address, or by both.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct VerificationRefFields {
    #[serde(flatten)]
    address: AddressFields,
    /// From the response of the call that sent the code; always send it.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    verification_id: JsonField,
}

impl VerificationRefFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields, phone: &PhoneRules) -> VerificationRef {
        let address = self.address.parse(fields, phone);
        let id = fields.optional("verification_id", self.verification_id, verification_id);
        if address.is_none() && id.is_none() && !fields.has_error_of(&["mobile", "email", "verification_id"]) {
            fields.error("mobile", FieldCode::Required, "`email` or `verification_id` is required");
        }
        VerificationRef { address, id }
    }
}

pub(in crate::http) fn verification_id(text: &str) -> Result<Uuid, FieldError> {
    Uuid::try_parse(text).map_err(|_| FieldError::new("verification_id", FieldCode::Invalid, "is not a UUID"))
}

/// The one-time code. (`code` is accepted as an alias.)
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct CodeFields {
    /// The digits as a string, leading zeros included.
    #[serde(default)]
    #[schema(value_type = String, required, pattern = "^[0-9]{4,10}$", example = "012345")]
    otp: JsonField,
    #[serde(default)]
    #[schema(ignore)]
    code: JsonField,
}

impl CodeFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields) -> Option<OneTimeCode> {
        let otp = fields.either("otp", self.otp, self.code);
        fields.required("otp", otp, OneTimeCode::parse)
    }
}

/// The current password, for actions that cannot be undone.
#[derive(Deserialize, ToSchema, Default)]
pub(in crate::http) struct CurrentPassword {
    /// Not needed in a session that is fresh enough.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "correct horse battery")]
    current_password: JsonField,
}

impl CurrentPassword {
    /// Its form is not judged: a text that cannot be a password is a wrong one.
    pub(in crate::http) fn parse(self, fields: &mut Fields) -> engine::CurrentPassword {
        let current = fields.text("current_password", self.current_password);
        current.map_or(engine::CurrentPassword::Missing, |text| {
            let password = Password::for_comparison(&text);
            password.map_or(engine::CurrentPassword::Invalid, engine::CurrentPassword::Present)
        })
    }
}
