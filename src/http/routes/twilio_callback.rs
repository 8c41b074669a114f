//! Twilio's delivery reports.

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
};

use crate::{
    http::{Api, error_code::ErrorCode, problem::Problem},
    notify::TwilioCallback,
};

/// Twilio's delivery report
///
/// Form-encoded, with `X-Twilio-Signature` over `server.public_url`.
#[utoipa::path(post, path = "", operation_id = "reportTwilioStatus", tag = "service",
    params(("message" = i64, Query, description = "The number of the message", example = 1)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded", example = "MessageStatus=delivered"),
    responses((status = 204, description = "The report is recorded")))]
pub(in crate::http) async fn report(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let query = query.unwrap_or_default();
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let signature = headers.get("x-twilio-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !api.twilio.as_ref().is_some_and(|twilio| twilio.is_genuine(&query, &fields, signature)) {
        return Err(Problem::new(ErrorCode::Forbidden, "the report is not signed by Twilio"));
    }
    let message = query.strip_prefix("message=").and_then(|number| number.parse().ok());
    if let (Some(message), Some(state)) = (message, TwilioCallback::state(&fields)) {
        api.deliveries.record_report(message, state).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
