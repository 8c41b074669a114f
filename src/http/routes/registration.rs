//! Registering, and asking for a new code.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{Address, Email, FieldCode, Identifiers, Locale, LoginId, Mobile, Password, PersonName},
    error::Error,
    http::{
        Api,
        extract::{
            client_ip::RequestClient,
            fields::{AppHashFields, ChallengeFields, Fields, VerificationRefFields, require_address},
            idempotency::{IdempotencyKeyHeader, Keyed},
            json::{JsonField, JsonValueField},
        },
        middleware::request_log::log_destination,
        problem::Problem,
        views::{ResentVerificationView, VerificationView},
    },
    services::{NewRegistration, PendingRegistration, ResentCode},
};

/// A registration; `email` or `mobile` is required.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct RegisterRequest {
    /// With a mobile too, the code goes to the mobile.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ann@example.com")]
    email: JsonField,
    /// As people type it; without a country code it is of `phone.default_region`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "9876543210")]
    mobile: JsonField,
    /// 8 to 128 characters of any kind; may be left out where `registrations.password` is `optional`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "correct horse battery")]
    password: JsonField,
    /// A name to log in by.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ann.b")]
    login_id: JsonField,
    #[serde(default, rename = "loginId")]
    #[schema(ignore)]
    login_id_alias: JsonField,
    /// The person's name.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Ann B.")]
    name: JsonField,
    /// The person's language, a BCP 47 tag.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "en-IN")]
    locale: JsonField,
    /// A JSON object of the person's own: at most 4 KiB and 8 levels.
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, serde_json::Value>>, example = json!({"nickname": "Annie"}))]
    data: JsonValueField,
    #[serde(default, rename = "mobileNumber")]
    #[schema(ignore)]
    mobile_number: JsonField,
    #[serde(flatten)]
    app_hash: AppHashFields,
    #[serde(flatten)]
    challenge: ChallengeFields,
}

/// The registration that a new code is for.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ResendRequest {
    #[serde(flatten)]
    reference: VerificationRefFields,
    #[serde(flatten)]
    app_hash: AppHashFields,
    #[serde(flatten)]
    challenge: ChallengeFields,
}

/// A pending registration.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RegisterResponse {
    #[schema(example = "pending")]
    status: &'static str,
    message: &'static str,
    /// The id of the account, once it is activated.
    user_id: Uuid,
    verification: VerificationView,
}

/// A new code, if a registration is pending.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ResendResponse {
    #[schema(example = "pending")]
    status: &'static str,
    message: &'static str,
    verification: ResentVerificationView,
}

impl RegisterRequest {
    /// The registration, and the solution of a challenge.
    fn parse(self, api: &Api) -> Result<(NewRegistration, Option<String>), Error> {
        let mut fields = Fields::default();
        let mobile = fields.either("mobile", self.mobile, self.mobile_number);
        let login_id = fields.either("login_id", self.login_id, self.login_id_alias);
        let identifiers = Identifiers {
            email: fields.optional("email", self.email, Email::parse),
            mobile: fields.optional("mobile", mobile, |text| Mobile::parse(text, &api.phone)),
            login_id: fields.optional("login_id", login_id, LoginId::parse),
        };
        if self.password.is_absent() && !api.registration.admission.rules.password_optional {
            fields.error("password", FieldCode::Required, "is required");
        }
        let password = fields.optional("password", self.password, |text| {
            let password = Password::parse(text, api.password_min_length)?;
            password.check_against(&identifiers)?;
            Ok(password)
        });
        let name = fields.optional("name", self.name, PersonName::parse);
        let locale = fields.optional("locale", self.locale, Locale::parse);
        let app_hash = self.app_hash.parse(&mut fields, &api.android_apps);
        let solution = self.challenge.parse(&mut fields);
        let data = fields.data(self.data);
        let destination = identifiers.destination();
        require_address(&mut fields, destination.as_ref());
        let parsed = destination.map(|destination| NewRegistration {
            destination,
            identifiers,
            name,
            locale,
            data,
            app_hash,
            password,
        });
        fields.finish(parsed.map(|parsed| (parsed, solution)))
    }
}

impl From<PendingRegistration> for RegisterResponse {
    fn from(pending: PendingRegistration) -> Self {
        Self {
            status: "pending",
            message: "A code is on its way; send it to verify-otp.",
            user_id: pending.user_id,
            verification: VerificationView::from(&pending.code),
        }
    }
}

impl From<ResentCode> for ResendResponse {
    fn from(resent: ResentCode) -> Self {
        Self {
            status: "pending",
            message: "If a registration is pending, a new code is on its way.",
            verification: ResentVerificationView::new(&resent.code, resent.with_id),
        }
    }
}

/// Register
///
/// Sends a code to the mobile, or to the email if there is no mobile. There is no account until the code is
/// verified. Registering again with the same password is the same registration; each without one is one of its own.
#[utoipa::path(post, path = "", operation_id = "register", tag = "registration", request_body(content = RegisterRequest, example = json!({"mobile": "9876543210", "password": "correct horse battery", "name": "Ann B."})),
    params(IdempotencyKeyHeader), responses((status = 202, description = "A code is on its way", body = RegisterResponse)))]
pub(in crate::http) async fn register(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Keyed { body, key }: Keyed<RegisterRequest>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (new, solution) = body.parse(&api)?;
    log_destination(&new.destination.masked());
    let destination = new.destination.key();
    let register = async {
        let pending = api.registration.register(new, solution.as_deref(), &client).await?;
        Ok(json!(RegisterResponse::from(pending)))
    };
    Ok((StatusCode::ACCEPTED, Json(api.idempotency.once(key, &destination, &client, Box::pin(register)).await?)))
}

/// Resend the code
///
/// The old code is dead. The response is the same whether or not a registration is pending at the address.
#[utoipa::path(post, path = "", operation_id = "resendCode", tag = "registration",
    request_body(content = ResendRequest, example = json!({"mobile": "9876543210"})),
    params(IdempotencyKeyHeader), responses((status = 200, description = "A new code is on its way, if a registration is pending", body = ResendResponse)))]
pub(in crate::http) async fn resend(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Keyed { body, key }: Keyed<ResendRequest>,
) -> Result<Json<Value>, Problem> {
    let mut fields = Fields::default();
    let reference = body.reference.parse(&mut fields, &api.phone);
    let app_hash = body.app_hash.parse(&mut fields, &api.android_apps);
    let solution = body.challenge.parse(&mut fields);
    let reference = fields.finish(Some(reference))?;
    log_destination(&reference.address.as_ref().map(Address::masked).unwrap_or_default());
    let destination = reference.address.as_ref().map(Address::key);
    let destination = destination.or(reference.id.map(|id| id.to_string())).unwrap_or_default();
    let resend = async {
        let resent = api.resend.resend(reference, app_hash.as_ref(), solution.as_deref(), &client).await?;
        Ok(json!(ResendResponse::from(resent)))
    };
    Ok(Json(api.idempotency.once(key, &destination, &client, Box::pin(resend)).await?))
}
