use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{domain::Part, http::Api};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz))
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Ready {
    /// `ready` or `unavailable`
    #[schema(example = "ready")]
    status: &'static str,
    /// What is missing.
    missing: Vec<String>,
}

/// The process runs
#[utoipa::path(get, path = "/livez", tag = "service", responses((status = 200, description = "It does", body = String)))]
async fn livez() -> &'static str {
    "ok\n"
}

#[derive(Deserialize)]
struct Needs {
    needs: Option<String>,
}

/// The node should get requests
#[utoipa::path(get, path = "/readyz", tag = "service",
    params(("needs" = Option<String>, Query, description = "`sql`: ask for the database alone")), responses(
    (status = 200, description = "It should", body = Ready),
    (status = 503, description = "It should not, and what is missing", body = Ready),
))]
async fn readyz(State(api): State<Api>, Query(needs): Query<Needs>) -> Response {
    let mut missing = api.readiness.missing();
    if needs.needs.as_deref() == Some("sql") {
        missing.retain(|part| part != &Part::Redis.to_string());
    }
    let (status, word) =
        if missing.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    let mut response = (status, Json(Ready { status: word, missing })).into_response();
    if status != StatusCode::OK {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
