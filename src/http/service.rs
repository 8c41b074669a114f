use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::Api;
use crate::domain::Part;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz)).routes(routes!(jwks))
}

/// Whether this node should get requests.
pub trait Readiness: Send + Sync {
    /// The parts that have been down for two seconds, and `stopping` or `clock` where that is so.
    fn missing(&self) -> Vec<String>;
}

#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
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

/// The public keys of access tokens
///
/// None while tokens are signed by a secret (HS256).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "service", responses(
    (status = 200, description = "A JWK set (RFC 7517)", body = KeySet),
))]
async fn jwks(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(api.sessions.tokens.jwks()))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what another crate writes")]
struct KeySet {
    /// JWKs, each with `kid`, `alg` and `use`.
    keys: Vec<serde_json::Value>,
}

/// Only where it is on: it tells every code.
pub(super) fn inbox() -> Router<Api> {
    Router::new().route("/dev/inbox", get(read_inbox))
}

#[derive(Deserialize)]
struct To {
    to: Option<String>,
}

#[derive(Serialize)]
struct InboxMessage {
    to: String,
    channel: &'static str,
    purpose: &'static str,
    body: String,
    otp: Option<String>,
    verification_id: Option<Uuid>,
    at: String,
}

async fn read_inbox(State(api): State<Api>, Query(To { to }): Query<To>) -> Json<Vec<InboxMessage>> {
    // A `+` in a query is a blank; whoever typed the number meant the plus.
    let to = to.map(|to| if to.starts_with(' ') { to.replacen(' ', "+", 1) } else { to });
    let kept = api.inbox.as_ref().map(|inbox| inbox.messages(to.as_deref())).unwrap_or_default();
    let view = kept.into_iter().map(|entry| InboxMessage {
        to: entry.to,
        channel: entry.channel,
        purpose: entry.purpose,
        body: entry.body,
        otp: entry.otp,
        verification_id: entry.verification_id,
        at: entry.at.to_string(),
    });
    Json(view.collect())
}
