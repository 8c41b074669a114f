use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api,
    body::{Body, Given, OptionalBody},
    client::Caller,
    envelope::log_destination,
    fields::Fields,
    problem::{Problem, ProblemBody},
    users::{Bearer, token},
    views::TokenAnswer,
};
use crate::{
    domain::{Address, Email, FieldCode, FieldError, LoginId, Mobile, PhoneRules},
    error::Error,
    services::Identifier,
};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(log_out_all))
}

#[derive(Deserialize, ToSchema)]
pub(super) struct LoginRequest {
    /// One of `email`, `mobile` and `login_id`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Given,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "9876543210")]
    mobile: Given,
    #[serde(default, rename = "mobileNumber")]
    #[schema(ignore)]
    mobile_number: Given,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    login_id: Given,
    #[serde(default, rename = "loginId")]
    #[schema(ignore)]
    older_login_id: Given,
    #[serde(default)]
    #[schema(value_type = String, required, example = "correct horse battery")]
    password: Given,
}

impl LoginRequest {
    fn parse(self, phone: &PhoneRules) -> Result<(Identifier, String), Error> {
        let mut fields = Fields::default();
        let mobile = fields.either("mobile", self.mobile, self.mobile_number);
        let login_id = fields.either("login_id", self.login_id, self.older_login_id);
        let email = fields.optional("email", self.email, Email::parse);
        let mobile = fields.optional("mobile", mobile, |text| Mobile::parse(text, phone));
        let login_id = fields.optional("login_id", login_id, LoginId::parse);
        let password = fields.required("password", self.password, |text| Ok::<_, FieldError>(text.to_owned()));
        let named = [
            email.map(|email| Identifier::Address(Address::Email(email))),
            mobile.map(|mobile| Identifier::Address(Address::Mobile(mobile))),
            login_id.map(Identifier::LoginId),
        ];
        let mut named = named.into_iter().flatten();
        let (first, second) = (named.next(), named.next());
        if second.is_some() {
            fields.error("login_id", FieldCode::TooManyIdentifiers, "stands beside another; one of them is meant");
        } else if first.is_none() && !fields.has_error_of(&["email", "mobile", "login_id"]) {
            fields.error("login_id", FieldCode::Required, "an email, a mobile or a login_id is needed");
        }
        fields.finish(first.zip(password))
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct RefreshRequest {
    #[serde(default)]
    #[schema(value_type = String, required)]
    refresh_token: Given,
}

#[derive(Deserialize, ToSchema, Default)]
pub(super) struct LogoutRequest {
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
    Body(request): Body<LoginRequest>,
) -> Result<Json<TokenAnswer>, Problem> {
    let (identifier, password) = request.parse(&api.phone)?;
    if let Identifier::Address(address) = &identifier {
        log_destination(&address.masked());
    }
    let password = crate::domain::Password::given(&password); // its form is not judged here
    Ok(Json(api.login.log_in(&identifier, password.as_ref(), &client).await?.into()))
}

/// Replace the refresh token
///
/// The old one is dead, but for the grace within which it gets the same successor again.
#[utoipa::path(post, path = "/auth/refresh", tag = "login", request_body = RefreshRequest, responses(
    (status = 200, description = "New tokens", body = TokenAnswer),
    (status = 401, description = "`invalid_token`, `token_reused`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn refresh(State(api): State<Api>, Body(request): Body<RefreshRequest>) -> Result<Json<TokenAnswer>, Problem> {
    let mut fields = Fields::default();
    let token = fields.required("refresh_token", request.refresh_token, |text| Ok::<_, FieldError>(text.to_owned()));
    let token = fields.finish(token)?;
    Ok(Json(api.sessions.refresh(&token).await?.into()))
}

/// End this session
#[utoipa::path(post, path = "/auth/logout", tag = "login", request_body(content = Option<LogoutRequest>),
    security(("bearer" = []), ()), responses(
    (status = 204, description = "It is over, if it was not before"),
    (status = 401, description = "`missing_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn log_out(
    State(api): State<Api>,
    headers: HeaderMap,
    OptionalBody(request): OptionalBody<LogoutRequest>,
) -> Result<StatusCode, Problem> {
    let mut fields = Fields::default();
    let refresh = fields.optional("refresh_token", request.refresh_token, |text| Ok::<_, FieldError>(text.to_owned()));
    let refresh = fields.finish(Some(refresh))?;
    let access = token(&headers);
    if access.is_none() && refresh.is_none() {
        return Err(Error::MissingToken.into());
    }
    api.sessions.log_out(access, refresh.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
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
