//! The parts that providers with an HTTP API share.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, header};

use super::{Fault, SendError, failover::TRY_TIMEOUT};
use crate::{outbound, telemetry};

pub(super) use crate::outbound::body_of;

/// A client of a provider's API.
pub(super) fn client() -> Client {
    outbound::client(TRY_TIMEOUT)
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
