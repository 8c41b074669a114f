//! The id of a request and its line in the log.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field::Empty};

use super::headers::set_security_headers;
use crate::{
    domain::{OsRandom, Random},
    http::problem::Problem,
    metrics, telemetry,
};

pub(in crate::http) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The service as clients see it.
#[derive(Clone)]
pub(in crate::http) struct PublicUrl(pub(in crate::http) Arc<str>);

/// Gives a request its id and its one line in the log, and writes out its problem.
pub(in crate::http) async fn log_request(
    State(PublicUrl(public_url)): State<PublicUrl>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let line = LogLine::new(&request, &id);
    let span = line.span.clone();
    let is_script = is_script(request.headers());
    let mut response = if has_one_host(&request) {
        next.run(request).instrument(span).await
    } else {
        Problem::of(StatusCode::BAD_REQUEST).into_response()
    };
    if let Some(problem) = problem_of(&mut response) {
        let added = std::mem::take(response.headers_mut());
        response = problem.write(&id, &public_url);
        for (name, value) in &added {
            if !response.headers().contains_key(name) && name != header::CONTENT_LENGTH {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
    set_security_headers(response.headers_mut(), &id);
    if is_script {
        // The browser would open its own dialog in front of the page.
        let is_basic = |value: &HeaderValue| value.as_bytes().starts_with(b"Basic");
        if response.headers().get(header::WWW_AUTHENTICATE).is_some_and(is_basic) {
            response.headers_mut().remove(header::WWW_AUTHENTICATE);
        }
    }
    line.answered(response.status());
    response
}

/// Without a host, or with two, two servers may read a request differently (RFC 9112, 3.2).
fn has_one_host(request: &Request) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11)
}

/// Whether a script of a page sends the request (Fetch Metadata, `Sec-Fetch-Mode`).
fn is_script(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_some_and(|mode| mode != "navigate")
}

/// The problem of a handler; for an error that the framework describes in its own words, ours.
pub(in crate::http) fn problem_of(response: &mut Response) -> Option<Problem> {
    let own = response.extensions_mut().remove::<Problem>();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    own.or_else(|| (is_error && !is_json).then(|| Problem::of(status)))
}

/// One line for each request, also for one whose client did not wait for the response.
struct LogLine {
    span: Span,
    /// Asked for by machines each second, or by a page for its parts.
    is_noise: bool,
    started: Instant,
    status: Option<u16>,
    method: &'static str,
    route: String,
}

/// A client may invent methods, and each would be a series of its own.
fn known(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    known.into_iter().find(|known| method == known).unwrap_or("other")
}

impl LogLine {
    fn new(request: &Request, id: &str) -> Self {
        let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
        let method = known(request.method());
        let span = tracing::info_span!(
            "request",
            request_id = id,
            method,
            route,
            status = Empty,
            client = Empty,
            destination = Empty,
            verification_id = Empty
        );
        if let Some(parent) = request.headers().get("traceparent").and_then(|parent| parent.to_str().ok()) {
            telemetry::continue_from(&span, parent);
        }
        let is_noise = matches!(route, "/livez" | "/readyz" | "/openapi.json")
            || route.ends_with("/health")
            || ["/docs", "/page"].iter().any(|page| route.starts_with(page));
        Self { span, is_noise, started: Instant::now(), status: None, method, route: route.to_owned() }
    }

    fn answered(mut self, status: StatusCode) {
        self.status = Some(status.as_u16());
        self.span.record("status", status.as_u16());
        metrics::request(self.method, &self.route, status.as_u16(), self.started.elapsed());
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let _entered = self.span.enter();
        if let Some(status) = self.status.filter(|_| self.is_noise) {
            tracing::debug!(status, duration_ms, "response");
        } else if let Some(status) = self.status {
            tracing::info!(status, duration_ms, "response");
        } else {
            tracing::info!(duration_ms, "the client did not wait for the response");
        }
    }
}

/// The caller's id, if it is 1 to 128 visible ASCII characters, otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let visible = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    given.filter(visible).map_or_else(|| (&OsRandom as &dyn Random).secret_id().to_string(), str::to_owned)
}

/// Adds the masked destination to the request's log line.
pub(in crate::http) fn log_destination(masked: &str) {
    Span::current().record("destination", masked);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, body::Body, middleware, routing::get};
    use http_body_util::BodyExt as _;
    use tokio_util::task::TaskTracker;
    use tower::ServiceExt as _;

    use super::*;
    use crate::http::middleware::detach::{DetachSettings, run_detached};

    async fn answer(uri: &str) -> (StatusCode, serde_json::Value) {
        async fn panics() -> &'static str {
            panic!("as handlers should not")
        }
        async fn hangs() {
            std::future::pending::<()>().await;
        }
        let own = DetachSettings { timeout: Duration::from_millis(50), requests: TaskTracker::new() };
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/hangs", get(hangs))
            .route("/plain", get(|| async { (StatusCode::IM_A_TEAPOT, "the framework's own words") }))
            .layer(middleware::from_fn_with_state(own, run_detached))
            .layer(middleware::from_fn_with_state(PublicUrl("http://x".into()), log_request));
        let response =
            router.oneshot(Request::get(uri).header(header::HOST, "x").body(Body::empty()).unwrap()).await.unwrap();
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
