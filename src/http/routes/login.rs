use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{Address, FieldCode, FieldError, Password, PhoneRules, Purpose},
    error::Error,
    http::{
        Api,
        extract::{
            auth::{Bearer, token},
            client_ip::Caller,
            fields::{AddressFields, Fields, LoginIdFields},
            json::{Body, Given, OptionalBody},
        },
        middleware::{camel_case::Speech, request_log::log_destination},
        problem::{Problem, ProblemBody},
        views::{CodeView, TokenAnswer},
    },
    services::{Asked, Identifier},
};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(send_code))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(log_out_all))
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct LoginRequest {
    /// One of `email`, `mobile` and `login_id`.
    #[serde(flatten)]
    address: AddressFields,
    #[serde(flatten)]
    login_id: LoginIdFields,
    #[serde(default)]
    #[schema(value_type = String, required, example = "correct horse battery")]
    password: Given,
}

impl LoginRequest {
    fn parse(self, phone: &PhoneRules) -> Result<(Identifier, String), Error> {
        let mut fields = Fields::default();
        let address = self.address.parse(&mut fields, phone);
        let login_id = self.login_id.parse(&mut fields);
        let password = fields.required("password", self.password, |text| Ok::<_, FieldError>(text.to_owned()));
        if address.is_some() && login_id.is_some() {
            fields.error("login_id", FieldCode::TooManyIdentifiers, "stands beside another; one of them is meant");
        }
        let identifier = address.map(Identifier::Address).or(login_id.map(Identifier::LoginId));
        if identifier.is_none() && !fields.has_error_of(&["email", "mobile", "login_id"]) {
            fields.error("login_id", FieldCode::Required, "an email, a mobile or a login_id is needed");
        }
        fields.finish(identifier.zip(password))
    }
}

/// Whose code is asked for: an email, a mobile, or a login id and a mobile.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct SendRequest {
    #[serde(flatten)]
    address: AddressFields,
    /// Beside a mobile: both must be of one account.
    #[serde(flatten)]
    login_id: LoginIdFields,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SendAnswer {
    #[schema(example = "success")]
    status: &'static str,
    message: &'static str,
    /// Seconds.
    #[schema(example = 120)]
    expires_in: u64,
    verification: CodeView,
}

impl SendRequest {
    fn parse(self, phone: &PhoneRules) -> Result<Asked, Error> {
        let mut fields = Fields::default();
        let login_id = self.login_id.parse(&mut fields);
        let address = self.address.required(&mut fields, phone);
        if login_id.is_some() && matches!(address, Some(Address::Email(_))) {
            fields.error("email", FieldCode::TooManyIdentifiers, "stands beside a login_id, which takes a mobile");
        }
        fields.finish(address.map(|address| Asked { address, login_id }))
    }
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct RefreshRequest {
    #[serde(default)]
    #[schema(value_type = String, required)]
    refresh_token: Given,
}

#[derive(Deserialize, ToSchema, Default)]
pub(in crate::http) struct LogoutRequest {
    /// Instead of the access token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    refresh_token: Given,
}

/// Log in by password
#[utoipa::path(post, path = "/auth/login", tag = "login", request_body = LoginRequest, responses(
    (status = 200, description = "A session is open", body = TokenAnswer),
    (status = 401, description = "`invalid_credentials`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`account_not_activated`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`, `too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn log_in(
    State(api): State<Api>,
    Caller(client): Caller,
    speech: Speech,
    Body(request): Body<LoginRequest>,
) -> Result<Json<TokenAnswer>, Problem> {
    let (identifier, password) = request.parse(&api.phone)?;
    if let Identifier::Address(address) = &identifier {
        log_destination(&address.masked());
    }
    let password = Password::given(&password); // its form is not judged here
    let opened = api.login.log_in(&identifier, password.as_ref(), &client).await?;
    Ok(Json(TokenAnswer::new(opened, &speech)))
}

/// Ask for a code to log in by
///
/// Answers alike whether or not an account has proven the address; to an unknown one nothing is sent.
#[utoipa::path(post, path = "/auth/send-otp", tag = "login", request_body = SendRequest, responses(
    (status = 200, description = "A code is on its way, if there is such an account", body = SendAnswer),
    (status = 429, description = "`too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn send_code(
    State(api): State<Api>,
    Caller(client): Caller,
    Body(request): Body<SendRequest>,
) -> Result<Json<SendAnswer>, Problem> {
    let asked = request.parse(&api.phone)?;
    log_destination(&asked.address.masked());
    let code = api.asking.ask(Purpose::Login, &asked, &client).await?;
    Ok(Json(SendAnswer {
        status: "success",
        message: "If there is such an account, a code is on its way; send it to verify-otp.",
        expires_in: code.expires_in.as_secs(),
        verification: CodeView::new(&code, true),
    }))
}

/// Replace the refresh token
///
/// The old one is dead, but for the grace within which it gets the same successor again.
#[utoipa::path(post, path = "/auth/refresh", tag = "login", request_body = RefreshRequest, responses(
    (status = 200, description = "New tokens", body = TokenAnswer),
    (status = 401, description = "`invalid_token`, `token_reused`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn refresh(
    State(api): State<Api>,
    speech: Speech,
    Body(request): Body<RefreshRequest>,
) -> Result<Json<TokenAnswer>, Problem> {
    let mut fields = Fields::default();
    let token = fields.required("refresh_token", request.refresh_token, |text| Ok::<_, FieldError>(text.to_owned()));
    let token = fields.finish(token)?;
    Ok(Json(TokenAnswer::new(api.sessions.refresh(&token).await?, &speech)))
}

/// End this session
#[utoipa::path(post, path = "/auth/logout", tag = "login", request_body(content = Option<LogoutRequest>),
    security(("bearer" = []), ()), responses(
    (status = 204, description = "It is over, if it was not before"),
    (status = 401, description = "`missing_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn log_out(
    State(api): State<Api>,
    speech: Speech,
    headers: HeaderMap,
    OptionalBody(request): OptionalBody<LogoutRequest>,
) -> Result<Response, Problem> {
    let mut fields = Fields::default();
    let refresh = fields.optional("refresh_token", request.refresh_token, |text| Ok::<_, FieldError>(text.to_owned()));
    let refresh = fields.finish(Some(refresh))?;
    let access = token(&headers);
    let is_older = speech.0.is_some();
    if access.is_none() && refresh.is_none() && !is_older {
        return Err(Error::MissingToken.into());
    }
    api.sessions.log_out(access, refresh.as_deref()).await?;
    if is_older {
        return Ok(Json(json!({"status": "success", "message": "Logged out."})).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// End all sessions
#[utoipa::path(post, path = "/auth/logout-all", tag = "login", security(("bearer" = [])), responses(
    (status = 204, description = "They are over, this one too"),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn log_out_all(State(api): State<Api>, bearer: Bearer) -> Result<StatusCode, Problem> {
    api.sessions.log_out_all(&bearer.user).await?;
    Ok(StatusCode::NO_CONTENT)
}
