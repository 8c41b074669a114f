use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    error::Error,
    http::{
        Api,
        extract::auth::Bearer,
        problem::{Problem, ProblemBody},
        views::{SessionView, session_views},
    },
};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(revoke))
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SessionsAnswer {
    sessions: Vec<SessionView>,
}

/// My sessions
#[utoipa::path(get, path = "/users/me/sessions", tag = "account", security(("bearer" = [])), responses(
    (status = 200, description = "The newest first", body = SessionsAnswer),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn list(State(api): State<Api>, bearer: Bearer) -> Result<Json<SessionsAnswer>, Problem> {
    let listed = api.sessions.list(&bearer.user).await?;
    Ok(Json(SessionsAnswer { sessions: session_views(listed, Some(bearer.session)) }))
}

/// End one of my sessions
#[utoipa::path(delete, path = "/users/me/sessions/{id}", tag = "account", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "Its id, which is the token's `sid`")), responses(
    (status = 204, description = "It is over"),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 404, description = "`not_found`: none of one's own", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn revoke(
    State(api): State<Api>,
    bearer: Bearer,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Error::NotFound)?;
    api.sessions.revoke(&bearer.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
