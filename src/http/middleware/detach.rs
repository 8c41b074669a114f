//! Running a request to its end, whatever its client does.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{
    error::Error,
    http::{error_code::ErrorCode, problem::Problem, routes::verification::LONGEST_WAIT},
};

/// 16 KiB: no call needs more.
const LONGEST_BODY: usize = 16 * 1024;
/// The octets that a refused request may still send.
const MOST_DISCARDED: usize = 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// The time limit of a request, and the tracker that stopping waits for.
#[derive(Clone)]
pub(in crate::http) struct DetachSettings {
    pub(in crate::http) timeout: Duration,
    pub(in crate::http) requests: TaskTracker,
}

/// Reads the body within its time and size, then runs the request in a task of its own: it ends what it began even
/// if its client has gone, and a panic is a response too.
pub(in crate::http) async fn run_detached(
    State(detached): State<DetachSettings>,
    request: Request,
    next: Next,
) -> Response {
    let deadline = Instant::now() + detached.timeout;
    let wait = longest_wait(&request);
    let request = match read_body(request, deadline).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let running = tokio::spawn(detached.requests.track_future(next.run(request).in_current_span()));
    match tokio::time::timeout_at(deadline + wait, running).await {
        Ok(Ok(response)) => response,
        Ok(Err(panicked)) => {
            tracing::error!(%panicked, "a handler panicked");
            Problem::of(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }
        Err(_) => Problem::from(Error::Overloaded).into_response(),
    }
}

/// A wait for news of a verification stands outside the time limit.
fn longest_wait(request: &Request) -> Duration {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if route.ends_with("/auth/verifications/{verification_id}") { LONGEST_WAIT } else { Duration::ZERO }
}

async fn read_body(request: Request, deadline: Instant) -> Result<Request, Problem> {
    let (parts, mut body) = request.into_parts();
    let declared =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let read = if declared.is_some_and(|length| length > LONGEST_BODY) {
        Err(too_large())
    } else {
        let collecting = Limited::new(&mut body, LONGEST_BODY).collect();
        match tokio::time::timeout_at(deadline, collecting).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Problem::new(ErrorCode::MalformedBody, "the body broke off")),
            Err(_) => Err(Problem::new(ErrorCode::RequestTimeout, "the body did not arrive in time")),
        }
    };
    match read {
        Ok(bytes) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Err(problem) => {
            discard(&mut body).await;
            Err(problem)
        }
    }
}

/// Reads and drops what still comes, for a while: a client that sends all before it reads would otherwise get a reset
/// in the place of the response (RFC 9112, 9.6).
async fn discard(body: &mut Body) {
    let reading = async {
        let mut left = MOST_DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, axum::body::Bytes::len);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

fn too_large() -> Problem {
    Problem::new(ErrorCode::BodyTooLarge, "the body must be at most 16 KiB")
}
