//! The development inbox; it is only there when it is on, because it shows every code.

use std::net::IpAddr;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, header},
    routing::get,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::Timestamp,
    error::Error,
    http::{Api, problem::Problem},
};

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

/// For who sits at this machine: a page elsewhere may reach it by a name of its own (DNS rebinding), and a proxy
/// passes on whoever asks.
fn is_from_here(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let is_loopback = name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_forwarded = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
    is_loopback && !is_forwarded.iter().any(|name| headers.contains_key(*name))
}

async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
    Query(InboxQuery { to }): Query<InboxQuery>,
) -> Result<Json<Vec<InboxMessage>>, Problem> {
    if !is_from_here(&headers) {
        return Err(Error::NotFound.into());
    }
    // A `+` in a query is a blank; the caller meant the plus of the number.
    let to = to.map(|to| if to.starts_with(' ') { to.replacen(' ', "+", 1) } else { to });
    api.deliveries.settle().await?;
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
    Ok(Json(view.collect()))
}
