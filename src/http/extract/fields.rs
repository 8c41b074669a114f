use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::json::Given;
use crate::{
    domain::{Address, Change, Email, FieldCode, FieldError, LoginId, Mobile, OneTimeCode, PhoneRules},
    engine::Which,
    error::Error,
};

/// Parses fields one by one and remembers all that is wrong.
#[derive(Default)]
pub(in crate::http) struct Fields {
    errors: Vec<FieldError>,
}

impl Fields {
    /// The field under its name or, for older clients, its older one; both at once is an error.
    pub(in crate::http) fn either(&mut self, name: &'static str, given: Given, older: Given) -> Given {
        match (given, older) {
            (Given::Absent | Given::Null, older) => older,
            (given, Given::Absent | Given::Null) => given,
            _ => {
                self.error(name, FieldCode::Invalid, "stands beside its older name");
                Given::Absent
            }
        }
    }

    pub(in crate::http) fn optional<T>(
        &mut self,
        name: &'static str,
        given: Given,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<T> {
        match given {
            Given::Absent | Given::Null => None,
            Given::Wrong => {
                self.error(name, FieldCode::Invalid, "is not a string, or has a NUL in it");
                None
            }
            Given::Text(text) => parse(&text).map_err(|error| self.errors.push(error)).ok(),
        }
    }

    pub(in crate::http) fn required<T>(
        &mut self,
        name: &'static str,
        given: Given,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
    ) -> Option<T> {
        if given.is_absent() && !self.errors.iter().any(|error| error.field == name) {
            self.error(name, FieldCode::Required, "is missing");
        }
        self.optional(name, given, parse)
    }

    /// Absent keeps what is there, null clears it.
    pub(in crate::http) fn change<T>(
        &mut self,
        name: &'static str,
        given: Given,
        parse: impl FnOnce(&str) -> Result<T, FieldError>,
        text: impl FnOnce(T) -> String,
    ) -> Change {
        match given {
            Given::Absent => Change::Keep,
            Given::Null => Change::To(None),
            given => self.optional(name, given, parse).map_or(Change::Keep, |value| Change::To(Some(text(value)))),
        }
    }

    pub(in crate::http) fn error(&mut self, field: &'static str, code: FieldCode, message: &'static str) {
        self.errors.push(FieldError::new(field, code, message));
    }

    pub(in crate::http) fn has_error_of(&self, fields: &[&str]) -> bool {
        self.errors.iter().any(|error| fields.contains(&error.field))
    }

    /// All that was wrong, or what was made of it: `None` only where something was.
    pub(in crate::http) fn finish<T>(self, made: Option<T>) -> Result<T, Error> {
        match made {
            Some(made) if self.errors.is_empty() => Ok(made),
            _ => Err(Error::Invalid(self.errors)),
        }
    }
}

/// An email or a mobile.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct AddressFields {
    /// As people type it; not beside `email`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "9876543210")]
    mobile: Given,
    #[serde(default, rename = "mobileNumber")]
    #[schema(ignore)]
    mobile_number: Given,
    /// Not beside `mobile`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ann@example.com")]
    email: Given,
}

impl AddressFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields, phone: &PhoneRules) -> Option<Address> {
        let mobile = fields.either("mobile", self.mobile, self.mobile_number);
        let mobile = fields.optional("mobile", mobile, |text| Mobile::parse(text, phone));
        let email = fields.optional("email", self.email, Email::parse);
        if mobile.is_some() && email.is_some() {
            fields.error("email", FieldCode::TooManyIdentifiers, "stands beside a mobile; one of them is meant");
        }
        mobile.map(Address::Mobile).or(email.map(Address::Email))
    }

    pub(in crate::http) fn required(self, fields: &mut Fields, phone: &PhoneRules) -> Option<Address> {
        let address = self.parse(fields, phone);
        if address.is_none() && !fields.has_error_of(&["mobile", "email"]) {
            fields.error("mobile", FieldCode::Required, "a mobile or an email is needed");
        }
        address
    }
}

/// A login id, under its name or its older one.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct LoginIdFields {
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ann.b")]
    login_id: Given,
    #[serde(default, rename = "loginId")]
    #[schema(ignore)]
    older_login_id: Given,
}

impl LoginIdFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields) -> Option<LoginId> {
        let login_id = fields.either("login_id", self.login_id, self.older_login_id);
        fields.optional("login_id", login_id, LoginId::parse)
    }
}

/// How a body names a code: by its address, by its verification's id, or by both.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct WhichFields {
    #[serde(flatten)]
    address: AddressFields,
    /// What the call that sent the code answered; send it always.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    verification_id: Given,
}

impl WhichFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields, phone: &PhoneRules) -> Which {
        let address = self.address.parse(fields, phone);
        let id = fields.optional("verification_id", self.verification_id, verification_id);
        if address.is_none() && id.is_none() && !fields.has_error_of(&["mobile", "email", "verification_id"]) {
            fields.error("mobile", FieldCode::Required, "a mobile, an email or a verification_id is needed");
        }
        Which { address, id }
    }
}

pub(in crate::http) fn verification_id(text: &str) -> Result<Uuid, FieldError> {
    Uuid::try_parse(text).map_err(|_| FieldError::new("verification_id", FieldCode::Invalid, "is not a UUID"))
}

/// The code, under its name or its older one.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct CodeFields {
    /// A string of digits, leading zeros included.
    #[serde(default)]
    #[schema(value_type = String, required, pattern = "^[0-9]{4,10}$", example = "012345")]
    otp: Given,
    #[serde(default)]
    #[schema(ignore)]
    code: Given,
}

impl CodeFields {
    pub(in crate::http) fn parse(self, fields: &mut Fields) -> Option<OneTimeCode> {
        let otp = fields.either("otp", self.otp, self.code);
        fields.required("otp", otp, OneTimeCode::parse)
    }
}
