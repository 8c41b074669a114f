//! The fields that several calls share.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{Address, Email, FieldCode, FieldError, Mobile, OneTimeCode, PhoneRules},
    http::extract::{
        fields::Fields,
        json::{JsonField, JsonValueField},
    },
};

/// An email or a phone.
#[derive(Deserialize)]
pub(super) struct AddressFields {
    #[serde(default)]
    pub(super) email: JsonField,
    #[serde(default)]
    pub(super) phone: JsonField,
}

impl AddressFields {
    pub(super) fn required(self, fields: &mut Fields, rules: &PhoneRules) -> Option<Address> {
        let (email, phone) = self.both(fields, rules);
        match (email, phone) {
            (Some(_), Some(_)) => {
                fields.error("email", FieldCode::TooManyIdentifiers, "must not be sent together with `phone`");
                None
            }
            (None, None) if !fields.has_error_of(&["email", "mobile"]) => {
                fields.error("mobile", FieldCode::Required, "or `email` is required");
                None
            }
            (email, phone) => email.or(phone),
        }
    }

    /// The email and the phone.
    pub(super) fn both(self, fields: &mut Fields, rules: &PhoneRules) -> (Option<Address>, Option<Address>) {
        let email = fields.optional("email", self.email, Email::parse);
        let phone = fields.optional("mobile", self.phone, |text| parse_phone(text, rules));
        (email.map(Address::Email), phone.map(Address::Mobile))
    }
}

/// E.164 with or without its plus, as GoTrue writes numbers; otherwise as people type them.
fn parse_phone(text: &str, rules: &PhoneRules) -> Result<Mobile, FieldError> {
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
    let international = is_bare.then(|| Mobile::parse(&format!("+{text}"), rules)).and_then(Result::ok);
    international.map_or_else(|| Mobile::parse(text, rules), Ok)
}

/// The solution of a challenge, where the dialect has a captcha's.
#[derive(Deserialize, Default)]
pub(super) struct SecurityFields {
    #[serde(default)]
    gotrue_meta_security: JsonValueField,
}

impl SecurityFields {
    /// An empty one is none.
    pub(super) fn solution(self) -> Option<String> {
        let JsonValueField::Value(Value::Object(mut security)) = self.gotrue_meta_security else { return None };
        match security.remove("captcha_token") {
            Some(Value::String(token)) if !token.is_empty() => Some(token),
            _ => None,
        }
    }
}

/// A code; a text that is none is a wrong one.
pub(super) fn code(fields: &mut Fields, field: JsonField) -> Option<Result<OneTimeCode, FieldError>> {
    fields.required("otp", field, |text| Ok(OneTimeCode::parse(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Region;

    #[test]
    fn a_phone_is_international_first() {
        let rules = PhoneRules { default_region: Region::IN, allowed_regions: vec![] };
        let read = |text: &str| parse_phone(text, &rules).map(|mobile| mobile.as_str().to_owned()).ok();
        for text in ["919876543210", "+919876543210", "9876543210", "098765 43210", "+91 98765-43210"] {
            assert_eq!(read(text).as_deref(), Some("+919876543210"), "{text}");
        }
        assert_eq!(read("447400123456").as_deref(), Some("+447400123456"));
        assert_eq!(read("12"), None);
    }
}
