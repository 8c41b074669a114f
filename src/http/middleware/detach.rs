use std::time::Duration;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::http::problem::Problem;

/// 16 KiB: no call needs more.
const LONGEST_BODY: usize = 16 * 1024;

/// How long a request may take, and where those are counted that stopping waits for.
#[derive(Clone)]
pub(in crate::http) struct OwnTask {
    pub(in crate::http) time: Duration,
    pub(in crate::http) requests: TaskTracker,
}

/// Reads the body within time and bounds, then runs the request in a task of its own: it ends what
/// it began even if its client has gone, and a panic is an answer too.
pub(in crate::http) async fn own_task(State(own): State<OwnTask>, request: Request, next: Next) -> Response {
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
