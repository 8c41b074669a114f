//! The parts that providers with an HTTP API share.

use std::time::Duration;

use reqwest::{Client, Response, header, redirect::Policy};

use super::{Fault, SendError, failover::TRY_TIMEOUT};

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

/// Without the request: its URL may contain an account.
pub(super) fn unreachable(error: &reqwest::Error) -> SendError {
    let cause = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "the connection was refused"
    } else {
        "the connection broke"
    };
    SendError::later(cause)
}

/// A refusal for the provider's own reasons, with its `Retry-After` in seconds.
pub(super) fn refused(response: &Response) -> SendError {
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let cause = format!("it answered {}", response.status().as_u16());
    SendError::Later { fault: Fault::Provider, cause, after: after.map(Duration::from_secs) }
}
