//! What every request passes: its id, its log line, its time, its own task, and the headers that
//! every answer carries.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::Instant;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::{Instrument as _, Span, field::Empty};

use super::problem::Problem;
use crate::domain::{OsRandom, Random};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// 16 KiB: no call needs more.
const LONGEST_BODY: usize = 16 * 1024;

/// Gives the request its id and its one log line, and finishes the answer.
pub(super) async fn envelope(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request_id = %id, method = %request.method(), route, destination = Empty);

    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let added = std::mem::take(response.headers_mut());
        response = problem.write(&id);
        for (name, value) in &added {
            if !response.headers().contains_key(name) && name != header::CONTENT_LENGTH {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
    finish(response.headers_mut(), &id);
    let _entered = span.entered();
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(status = response.status().as_u16(), duration_ms, "answered");
    response
}

/// The caller's, when it is 1 to 128 visible ASCII characters; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let visible = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    given.filter(visible).map_or_else(|| (&OsRandom as &dyn Random).secret_id().to_string(), str::to_owned)
}

fn finish(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Names in the log line, masked, whom the request is about.
pub(super) fn log_destination(masked: &str) {
    Span::current().record("destination", masked);
}

/// Reads the body within time and bounds, then runs the request in a task of its own: it ends what
/// it began even if its client has gone, and a panic is an answer too.
pub(super) async fn own_task(State(time): State<Duration>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let declared =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > LONGEST_BODY) {
        return too_large().into_response();
    }
    let bytes = match tokio::time::timeout(time, to_bytes(body, LONGEST_BODY)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_length_limit(&error) => return too_large().into_response(),
        Ok(Err(_)) => {
            return Problem::new(StatusCode::BAD_REQUEST, "malformed_body", "the body broke off").into_response();
        }
        Err(_) => {
            let late = Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not come in time");
            return late.into_response();
        }
    };
    let request = Request::from_parts(parts, Body::from(bytes));
    let running = tokio::spawn(next.run(request).in_current_span());
    match tokio::time::timeout(time, running).await {
        Ok(Ok(response)) => response,
        Ok(Err(panicked)) => {
            tracing::error!(%panicked, "a handler panicked");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error").into_response()
        }
        Err(_) => Problem::from(crate::error::Error::Overloaded).into_response(),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.to_string().contains("length limit") {
            return true;
        }
        source = cause.source();
    }
    false
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is longer than 16 KiB")
}

/// Nothing is allowed across origins unless some are named.
pub(super) fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("idempotency-key")])
        .expose_headers([
            header::RETRY_AFTER,
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            header::WWW_AUTHENTICATE,
            REQUEST_ID,
        ])
        .max_age(Duration::from_mins(10));
    Some(layer)
}
