use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::{Address, Email, FieldCode, Locale, LoginId, Mobile, Password, PersonName},
    error::Error,
    http::{
        Api,
        extract::{
            client_ip::Caller,
            fields::{Fields, WhichFields},
            json::{Body, Given},
        },
        middleware::request_log::log_destination,
        problem::{Problem, ProblemBody},
        views::CodeView,
    },
    services::{NewRegistration, Registered, Resend},
};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(register_user)).routes(routes!(resend))
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct RegisterRequest {
    /// At least one of `email` and `mobile`; with both, the code goes to the mobile.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ann@example.com")]
    email: Given,
    /// As people type it; a bare national number is of `phone.default_region`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "9876543210")]
    mobile: Given,
    #[serde(default, rename = "mobileNumber")]
    #[schema(ignore)]
    mobile_number: Given,
    /// 8 to 128 characters, of any kind.
    #[serde(default)]
    #[schema(value_type = String, required, min_length = 8, max_length = 128, example = "correct horse battery")]
    password: Given,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9._-]{3,64}$", example = "ann.b")]
    login_id: Given,
    #[serde(default, rename = "loginId")]
    #[schema(ignore)]
    older_login_id: Given,
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, example = "Ann B.")]
    name: Given,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "en-IN")]
    locale: Given,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RegisterAnswer {
    #[schema(example = "pending")]
    status: &'static str,
    message: &'static str,
    /// The account's id, once it is proven.
    user_id: Uuid,
    verification: CodeView,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ResendAnswer {
    #[schema(example = "pending")]
    status: &'static str,
    message: &'static str,
    verification: CodeView,
}

impl RegisterRequest {
    fn parse(self, api: &Api) -> Result<NewRegistration, Error> {
        let mut fields = Fields::default();
        let email = fields.optional("email", self.email, Email::parse);
        let mobile = fields.either("mobile", self.mobile, self.mobile_number);
        let mobile = fields.optional("mobile", mobile, |text| Mobile::parse(text, &api.phone));
        let login_id = fields.either("login_id", self.login_id, self.older_login_id);
        let login_id = fields.optional("login_id", login_id, LoginId::parse);
        let password = fields.required("password", self.password, |text| {
            let password = Password::parse(text, api.password_min_length)?;
            password.differs_from(email.as_ref(), mobile.as_ref(), login_id.as_ref())?;
            Ok(password)
        });
        let name = fields.optional("name", self.name, PersonName::parse);
        let locale = fields.optional("locale", self.locale, Locale::parse);
        let destination = mobile.clone().map(Address::Mobile).or(email.clone().map(Address::Email));
        if destination.is_none() && !fields.has_error_of(&["email", "mobile"]) {
            fields.error("mobile", FieldCode::Required, "a mobile or an email is needed");
        }
        let made = destination.zip(password).map(|(destination, password)| NewRegistration {
            destination,
            email,
            mobile,
            login_id,
            name,
            locale,
            password,
        });
        fields.finish(made)
    }
}

impl From<Registered> for RegisterAnswer {
    fn from(registered: Registered) -> Self {
        Self {
            status: "pending",
            message: "A code is on its way; send it to verify-otp.",
            user_id: registered.user_id,
            verification: CodeView::new(&registered.code, true),
        }
    }
}

impl From<Resend> for ResendAnswer {
    fn from(resend: Resend) -> Self {
        Self {
            status: "pending",
            message: "If a registration is pending, a new code is on its way.",
            verification: CodeView::new(&resend.code, resend.with_id),
        }
    }
}

/// Register
///
/// Takes a registration and sends a code to its mobile, else its email. Nothing is an account until
/// the code proves it. The same password again is the same registration.
#[utoipa::path(post, path = "/auth/register", tag = "registration", request_body = RegisterRequest, responses(
    (status = 202, description = "A code is on its way", body = RegisterAnswer),
    (status = 409, description = "`account_exists`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_requests`, `too_many_attempts`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn register(
    State(api): State<Api>,
    Caller(client): Caller,
    Body(request): Body<RegisterRequest>,
) -> Result<(StatusCode, Json<RegisterAnswer>), Problem> {
    let new = request.parse(&api)?;
    log_destination(&new.destination.masked());
    let registered = api.registration.register(new, &client).await?;
    Ok((StatusCode::ACCEPTED, Json(registered.into())))
}

/// Register (the same call under another path)
#[utoipa::path(post, path = "/users", tag = "registration", request_body = RegisterRequest, responses(
    (status = 202, description = "A code is on its way", body = RegisterAnswer),
    (status = 409, description = "`account_exists`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_requests`, `too_many_attempts`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn register_user(
    state: State<Api>,
    caller: Caller,
    body: Body<RegisterRequest>,
) -> Result<(StatusCode, Json<RegisterAnswer>), Problem> {
    register(state, caller, body).await
}

/// Send a new code
///
/// The old one is dead. Answers alike whether or not a registration is pending at the address.
#[utoipa::path(post, path = "/auth/resend-otp", tag = "registration", request_body = WhichFields, responses(
    (status = 200, description = "A code is on its way, if a registration is pending", body = ResendAnswer),
    (status = 404, description = "`unknown_verification`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`verification_id_required`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn resend(
    State(api): State<Api>,
    Caller(client): Caller,
    Body(request): Body<WhichFields>,
) -> Result<Json<ResendAnswer>, Problem> {
    let mut fields = Fields::default();
    let which = request.parse(&mut fields, &api.phone);
    let which = fields.finish(Some(which))?;
    if let Some(address) = &which.address {
        log_destination(&address.masked());
    }
    Ok(Json(api.resending.resend(which, &client).await?.into()))
}
