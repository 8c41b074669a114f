//! What every request passes: its id, its log line, its time, its own task, and the headers that
//! every answer carries.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::{Instrument as _, Span, field::Empty};

use super::problem::Problem;
use crate::domain::{OsRandom, Random};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// 16 KiB: no call needs more.
const LONGEST_BODY: usize = 16 * 1024;

/// Gives the request its id and its one log line, and finishes the answer.
pub(super) async fn envelope(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let line = LogLine::of(&request, &id);
    let span = line.span.clone();
    let mut response = next.run(request).instrument(span).await;
    if let Some(problem) = problem_of(&mut response) {
        let added = std::mem::take(response.headers_mut());
        response = problem.write(&id);
        for (name, value) in &added {
            if !response.headers().contains_key(name) && name != header::CONTENT_LENGTH {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
    finish(response.headers_mut(), &id);
    line.answered(response.status());
    response
}

/// What a handler said is wrong; else, for an error that the framework answered in its own words,
/// ours for it.
fn problem_of(response: &mut Response) -> Option<Problem> {
    let said = response.extensions_mut().remove::<Problem>();
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    let status = response.status();
    said.or_else(|| ((status.is_client_error() || status.is_server_error()) && !json).then(|| Problem::of(status)))
}

/// One line for each request, also for one whose client did not wait for the answer.
struct LogLine {
    span: Span,
    started: Instant,
    status: Option<u16>,
}

impl LogLine {
    fn of(request: &Request, id: &str) -> Self {
        let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
        let method = request.method();
        let span = tracing::info_span!("request", request_id = id, %method, route, destination = Empty);
        Self { span, started: Instant::now(), status: None }
    }

    fn answered(mut self, status: StatusCode) {
        self.status = Some(status.as_u16());
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let _entered = self.span.enter();
        if let Some(status) = self.status {
            tracing::info!(status, duration_ms, "answered");
        } else {
            tracing::info!(duration_ms, "the client did not wait for the answer");
        }
    }
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

/// How long a request may take, and where those are counted that stopping waits for.
#[derive(Clone)]
pub(super) struct OwnTask {
    pub(super) time: Duration,
    pub(super) requests: TaskTracker,
}

/// Reads the body within time and bounds, then runs the request in a task of its own: it ends what
/// it began even if its client has gone, and a panic is an answer too.
pub(super) async fn own_task(State(own): State<OwnTask>, request: Request, next: Next) -> Response {
    let deadline = Instant::now() + own.time;
    let request = match tokio::time::timeout_at(deadline, read_body(request)).await {
        Ok(Ok(request)) => request,
        Ok(Err(problem)) => return problem.into_response(),
        Err(_) => {
            let late = Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not come in time");
            return late.into_response();
        }
    };
    let running = tokio::spawn(own.requests.track_future(next.run(request).in_current_span()));
    match tokio::time::timeout_at(deadline, running).await {
        Ok(Ok(response)) => response,
        Ok(Err(panicked)) => {
            tracing::error!(%panicked, "a handler panicked");
            Problem::of(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }
        Err(_) => Problem::from(crate::error::Error::Overloaded).into_response(),
    }
}

async fn read_body(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let declared =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > LONGEST_BODY) {
        return Err(too_large());
    }
    match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(collected) => Ok(Request::from_parts(parts, Body::from(collected.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_body", "the body broke off")),
    }
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

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(uri: &str) -> (StatusCode, serde_json::Value) {
        async fn panics() -> &'static str {
            panic!("as handlers should not")
        }
        async fn hangs() {
            std::future::pending::<()>().await;
        }
        let own = OwnTask { time: Duration::from_millis(50), requests: TaskTracker::new() };
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/hangs", get(hangs))
            .route("/plain", get(|| async { (StatusCode::IM_A_TEAPOT, "the framework's own words") }))
            .layer(middleware::from_fn_with_state(own, own_task))
            .layer(middleware::from_fn(envelope));
        let response = router.oneshot(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
        let (status, kind) = (response.status(), response.headers()[header::CONTENT_TYPE].clone());
        assert_eq!(kind, "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_panic_a_hang_and_foreign_errors_are_problems() {
        let (status, problem) = answer("/panics").await;
        assert_eq!((status.as_u16(), &problem["code"]), (500, &"internal".into()));
        assert!(!problem.to_string().contains("handlers"), "nothing internal shows: {problem}");
        assert_eq!(answer("/hangs").await.1["code"], "overloaded");
        assert_eq!(answer("/plain").await.1["code"], "malformed_body");
    }
}
