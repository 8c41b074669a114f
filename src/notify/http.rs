//! What the providers behind HTTP share.

use std::time::Duration;

use reqwest::{Client, Response, header, redirect::Policy};

use super::{SendError, failover::PATIENCE};

/// Follows no redirect: a message goes where the settings say.
pub(super) fn client() -> Client {
    Client::builder()
        .timeout(PATIENCE)
        .connect_timeout(Duration::from_secs(2))
        .redirect(Policy::none())
        .user_agent(concat!("enroll/", env!("CARGO_PKG_VERSION")))
        .build()
        .expect("the TLS library is built in")
}

/// Never with the request in it: an URL may hold an account.
pub(super) fn unreachable(error: &reqwest::Error) -> SendError {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "it can't be connected to"
    } else {
        "the connection broke"
    };
    SendError::later(what)
}

/// A refusal that is the provider's own matter; its `Retry-After` in seconds, if it has one.
pub(super) fn refused(response: &Response, more: &str) -> SendError {
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let cause = format!("it answered {}{more}", response.status().as_u16());
    SendError::Later { cause, after: after.map(Duration::from_secs) }
}
