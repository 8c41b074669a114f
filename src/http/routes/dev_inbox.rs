use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::Api;

/// Only where it is on: it tells every code.
pub(in crate::http) fn routes() -> Router<Api> {
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
