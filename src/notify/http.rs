//! The parts that providers with an HTTP API share.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, header, redirect::Policy};

use super::{Fault, SendError, failover::TRY_TIMEOUT};
use crate::telemetry;

/// Follows no redirect: a message goes where the settings say.
pub(super) fn client() -> Client {
    Client::builder()
        .timeout(TRY_TIMEOUT)
        .connect_timeout(Duration::from_secs(2))
        .redirect(Policy::none())
        .user_agent(concat!("enroll/", env!("CARGO_PKG_VERSION")))
        .build()
        .expect("the TLS library is built in")
}

/// The request with the context of its trace.
pub(super) fn traced(request: RequestBuilder) -> RequestBuilder {
    match telemetry::traceparent() {
        Some(parent) => request.header("traceparent", parent),
        None => request,
    }
}

/// Without the request: its URL may contain an account.
pub(super) fn unreachable(error: &reqwest::Error) -> SendError {
    let root = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source()).last();
    let root = root.map(ToString::to_string).unwrap_or_default();
    SendError::later(if error.is_timeout() {
        "no answer in time".to_owned()
    } else if root.contains("certificate") {
        format!("its certificate is not trusted: {root}")
    } else if error.is_connect() {
        format!("could not connect: {root}")
    } else {
        "the connection broke".to_owned()
    })
}

/// No answer that matters is longer.
const LONGEST_BODY: usize = 64 * 1024;

/// The body, up to a bound: the rest is left.
pub(super) async fn body_of(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = LONGEST_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == LONGEST_BODY {
            break;
        }
    }
    body
}

/// A part of a URL as its owner wrote it.
pub(super) fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A refusal for the provider's own reasons, with its `Retry-After` in seconds.
pub(super) fn refused(response: &Response) -> SendError {
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let cause = format!("it answered {}", response.status().as_u16());
    SendError::Later { fault: Fault::Provider, cause, after: after.map(Duration::from_secs) }
}
