//! The development inbox; it is only there when it is on, because it shows every code.

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{domain::Timestamp, http::Api};

pub(in crate::http) fn routes() -> Router<Api> {
    Router::new().route("/dev/inbox", get(list))
}

#[derive(Deserialize)]
struct InboxQuery {
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
    at: Timestamp,
}

async fn list(State(api): State<Api>, Query(InboxQuery { to }): Query<InboxQuery>) -> Json<Vec<InboxMessage>> {
    // A `+` in a query is a blank; the caller meant the plus of the number.
    let to = to.map(|to| if to.starts_with(' ') { to.replacen(' ', "+", 1) } else { to });
    let messages = api.inbox.as_ref().map(|inbox| inbox.messages(to.as_deref())).unwrap_or_default();
    let view = messages.into_iter().map(|entry| InboxMessage {
        to: entry.to,
        channel: entry.channel,
        purpose: entry.purpose,
        body: entry.body,
        otp: entry.otp,
        verification_id: entry.verification_id,
        at: entry.at,
    });
    Json(view.collect())
}
