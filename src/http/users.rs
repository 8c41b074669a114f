use axum::{
    Json,
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api,
    problem::{Problem, ProblemBody},
    views::UserView,
};
use crate::{domain::User, error::Error};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Who the access token belongs to (RFC 6750).
pub(super) struct Bearer(User);

impl FromRequestParts<Api> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = header.and_then(|header| header.split_once(' '));
        let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let token = token.ok_or(Error::MissingToken)?;
        Ok(Self(api.sessions.authenticate(token).await?))
    }
}

/// Who am I
#[utoipa::path(get, path = "/users/me", tag = "account", security(("bearer" = [])), responses(
    (status = 200, description = "The account", body = UserView),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn me(Bearer(user): Bearer) -> Json<UserView> {
    Json((&user).into())
}
