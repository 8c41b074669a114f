//! Requests to other people's servers.

use std::time::Duration;

use reqwest::{Client, Response, redirect::Policy};

/// Follows no redirect: what is sent goes where the settings say.
pub fn client(timeout: Duration) -> Client {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(Duration::from_secs(2))
        .redirect(Policy::none())
        .user_agent(concat!("enroll/", env!("CARGO_PKG_VERSION")))
        .build()
        .expect("the TLS library is built in")
}

/// No answer that matters is longer.
const LONGEST_BODY: usize = 64 * 1024;

/// The body, up to a bound: the rest is left.
pub async fn body_of(mut response: Response) -> Vec<u8> {
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
