//! Liveness, readiness, and on the private listener the metrics.

use axum::{
    Json, Router,
    extract::{FromRef, Query, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::Dependency,
    engine::{Gauges, Readiness},
    http::Api,
    metrics,
};

/// Whether the node should get requests.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ReadinessResponse {
    /// `ready` or `unavailable`.
    #[schema(example = "ready")]
    status: &'static str,
    /// The dependencies that are down, and `clock` or `stopping`.
    missing: Vec<String>,
}

/// The paths of the private listener.
pub(in crate::http) fn admin(readiness: Readiness, gauges: Gauges) -> Router {
    let health = Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(readiness);
    health.merge(Router::new().route("/metrics", get(measured)).with_state(gauges))
}

/// Prometheus' text format, version 0.0.4.
const METRICS: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];

async fn measured(State(gauges): State<Gauges>) -> impl IntoResponse {
    gauges.read().await;
    (METRICS, metrics::render())
}

impl FromRef<Api> for Readiness {
    fn from_ref(api: &Api) -> Self {
        api.readiness.clone()
    }
}

/// Liveness
///
/// The process responds.
#[utoipa::path(get, path = "", operation_id = "getLiveness", tag = "service",
    responses((status = 200, description = "The process responds", body = String)))]
pub(in crate::http) async fn livez() -> &'static str {
    "ok\n"
}

#[derive(Deserialize)]
pub(in crate::http) struct ReadinessQuery {
    needs: Option<String>,
}

/// Readiness
///
/// Whether the node should get requests.
#[utoipa::path(get, path = "", operation_id = "getReadiness", tag = "service",
    params(("needs" = Option<String>, Query, description = "`sql`: the database is enough")),
    responses(
        (status = 200, description = "Ready", body = ReadinessResponse),
        (status = 503, description = "Not ready; lists the unavailable dependencies", body = ReadinessResponse),
    ))]
pub(in crate::http) async fn readyz(
    State(readiness): State<Readiness>,
    Query(query): Query<ReadinessQuery>,
) -> Response {
    let mut missing = readiness.missing();
    if query.needs.as_deref() == Some("sql") {
        missing.retain(|dependency| dependency != &Dependency::Redis.to_string());
    }
    let (code, status) =
        if missing.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    let mut response = (code, Json(ReadinessResponse { status, missing })).into_response();
    if code != StatusCode::OK {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
