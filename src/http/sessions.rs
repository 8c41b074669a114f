use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Api,
    problem::{Problem, ProblemBody},
    users::Bearer,
};
use crate::{error::Error, services::ListedSession};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(revoke))
}

#[derive(Serialize, ToSchema)]
pub(super) struct SessionsAnswer {
    sessions: Vec<SessionView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    id: Uuid,
    /// The one whose token this call was made with.
    current: bool,
    user_agent: Option<String>,
    #[schema(example = "192.0.2.7")]
    address: Option<String>,
    /// RFC 3339, UTC.
    created_at: String,
    /// RFC 3339, UTC.
    last_used_at: String,
}

/// My sessions
#[utoipa::path(get, path = "/users/me/sessions", tag = "account", security(("bearer" = [])), responses(
    (status = 200, description = "The newest first", body = SessionsAnswer),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn list(State(api): State<Api>, bearer: Bearer) -> Result<Json<SessionsAnswer>, Problem> {
    let listed = api.sessions.list(&bearer.user).await?;
    Ok(Json(SessionsAnswer { sessions: views(listed, Some(bearer.session)) }))
}

pub(super) fn views(listed: Vec<ListedSession>, current: Option<Uuid>) -> Vec<SessionView> {
    let view = |session: ListedSession| SessionView {
        id: session.id,
        current: Some(session.id) == current,
        user_agent: session.user_agent,
        address: session.address,
        created_at: session.created_at.to_string(),
        last_used_at: session.last_used_at.to_string(),
    };
    listed.into_iter().map(view).collect()
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
