use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{FieldError, Locale, Password, PersonName},
    engine,
    http::{
        Api,
        extract::{
            auth::Bearer,
            client_ip::Caller,
            fields::Fields,
            json::{Body, Given, OptionalBody},
        },
        middleware::camel_case::Speech,
        problem::{Problem, ProblemBody},
        views::UserView,
    },
};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(change))
        .routes(routes!(change_password))
        .routes(routes!(delete_account))
}

/// Who am I
#[utoipa::path(get, path = "/users/me", tag = "account", security(("bearer" = [])), responses(
    (status = 200, description = "The account", body = UserView),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn me(speech: Speech, bearer: Bearer) -> Json<UserView> {
    Json(UserView::new(&bearer.user, &speech))
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ChangeRequest {
    /// Absent: unchanged; null: cleared.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Ann B.")]
    name: Given,
    /// Absent: unchanged; null: cleared.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "en-IN")]
    locale: Given,
}

/// The password of whoever asks for what can't be undone.
#[derive(Deserialize, ToSchema, Default)]
pub(in crate::http) struct CurrentPassword {
    /// Not needed in a session that is young enough.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    current_password: Given,
}

impl CurrentPassword {
    /// Its form is not judged: what can't be a password is a wrong one.
    pub(in crate::http) fn parse(self, fields: &mut Fields) -> engine::CurrentPassword {
        let current = fields.optional("current_password", self.current_password, |text| Ok(text.to_owned()));
        current.map_or(engine::CurrentPassword::Missing, |text| {
            Password::given(&text).map_or(engine::CurrentPassword::Impossible, engine::CurrentPassword::Given)
        })
    }
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct PasswordRequest {
    #[serde(flatten)]
    current: CurrentPassword,
    #[serde(default)]
    #[schema(value_type = String, required, min_length = 8, max_length = 128)]
    new_password: Given,
}

/// Change my name or locale
#[utoipa::path(patch, path = "/users/me", tag = "account", security(("bearer" = [])), request_body = ChangeRequest, responses(
    (status = 200, description = "The account", body = UserView),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn change(
    State(api): State<Api>,
    speech: Speech,
    bearer: Bearer,
    Body(request): Body<ChangeRequest>,
) -> Result<Json<UserView>, Problem> {
    let mut fields = Fields::default();
    let name = fields.change("name", request.name, PersonName::parse, |name| name.as_str().to_owned());
    let locale = fields.change("locale", request.locale, Locale::parse, |locale| locale.as_str().to_owned());
    let (name, locale) = fields.finish(Some((name, locale)))?;
    let user = api.profile.change(&bearer.user, &name, &locale).await?;
    Ok(Json(UserView::new(&user, &speech)))
}

/// Change my password
///
/// Every other session ends.
#[utoipa::path(post, path = "/users/me/password", tag = "account", security(("bearer" = [])), request_body = PasswordRequest, responses(
    (status = 204, description = "It is changed"),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`, `reauthentication_required`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`, `too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn change_password(
    State(api): State<Api>,
    Caller(client): Caller,
    bearer: Bearer,
    Body(request): Body<PasswordRequest>,
) -> Result<StatusCode, Problem> {
    let mut fields = Fields::default();
    let current = request.current.parse(&mut fields);
    let new = fields.required("new_password", request.new_password, |text| {
        Password::parse(text, api.password_min_length).map_err(|error| FieldError { field: "new_password", ..error })
    });
    let new = fields.finish(new)?;
    let Bearer { user, session } = bearer;
    api.profile.change_password(&user, session, &current, &new, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete my account
///
/// It is gone, and all that names its person.
#[utoipa::path(delete, path = "/users/me", tag = "account", security(("bearer" = [])),
    request_body(content = Option<CurrentPassword>), responses(
    (status = 204, description = "It is gone"),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`, `reauthentication_required`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`, `too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn delete_account(
    State(api): State<Api>,
    Caller(client): Caller,
    bearer: Bearer,
    OptionalBody(request): OptionalBody<CurrentPassword>,
) -> Result<StatusCode, Problem> {
    let mut fields = Fields::default();
    let current = request.parse(&mut fields);
    fields.finish(Some(()))?;
    let Bearer { user, session } = bearer;
    api.profile.delete(&user, session, &current, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}
