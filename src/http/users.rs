use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

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
pub(super) struct Bearer {
    pub(super) user: User,
    pub(super) session: Uuid,
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl FromRequestParts<Api> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let token = token(&parts.headers).ok_or(Error::MissingToken)?;
        let (user, session) = api.sessions.authenticate(token).await?;
        Ok(Self { user, session })
    }
}

/// Who am I
#[utoipa::path(get, path = "/users/me", tag = "account", security(("bearer" = [])), responses(
    (status = 200, description = "The account", body = UserView),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn me(bearer: Bearer) -> Json<UserView> {
    Json((&bearer.user).into())
}
