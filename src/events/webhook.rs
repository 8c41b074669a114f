//! Events by a webhook.

use std::time::Duration;

use reqwest::{Client, Url, header, redirect::Policy};

use super::cloud_event::cloud_event;
use crate::{
    crypto::WebhookSigner,
    domain::{Clock as _, EVENT_TYPES, Event, SystemClock},
};

/// Posts events to a receiver: structured CloudEvents JSON, signed as Standard Webhooks 1.0 says.
#[derive(Clone)]
pub struct EventWebhook {
    client: Client,
    settings: EventWebhookSettings,
    /// The `source` of CloudEvents.
    source: String,
}

/// The settings of the webhook of events.
#[derive(Debug, Clone)]
pub struct EventWebhookSettings {
    /// The receiver.
    pub url: Url,
    /// Signs the events.
    pub signer: WebhookSigner,
    /// The events that it gets.
    pub types: EventTypes,
}

/// A choice of events.
#[derive(Debug, Clone, Default)]
pub struct EventTypes(Option<Vec<String>>);

/// An event was not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostFailure {
    /// The receiver answered with this status, which is none of 2xx.
    Refused(u16),
    /// No answer came.
    Unreachable(&'static str),
}

/// For the connection and the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl EventTypes {
    /// Parses names such as `user.deleted`, and beginnings such as `user.*`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let patterns: Vec<String> =
            text.split(',').map(|pattern| pattern.trim().to_owned()).filter(|pattern| !pattern.is_empty()).collect();
        let unknown = patterns.iter().find(|pattern| !EVENT_TYPES.iter().any(|name| matches(pattern, name)));
        match unknown {
            Some(pattern) => Err(format!("{pattern} is no type of event, and the beginning of none")),
            None => Ok(Self(Some(patterns))),
        }
    }

    fn include(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| matches(pattern, name)))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let begins = |beginning: &str| name.starts_with(beginning);
    pattern == name
        || pattern == "*"
        || pattern.strip_suffix('*').is_some_and(|start| start.ends_with('.') && begins(start))
}

impl EventWebhook {
    /// Prepares the client without connecting. It follows no redirect: events go where the settings say.
    pub fn new(settings: EventWebhookSettings, source: String) -> Self {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .user_agent(concat!("enroll/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("the TLS library is built in");
        Self { client, settings, source }
    }

    /// Posts an event, if it is one of those that the receiver gets; `Ok` is never to be posted again.
    pub async fn post(&self, event: &Event) -> Result<(), PostFailure> {
        let (name, envelope) = cloud_event(event, &self.source);
        if !self.settings.types.include(&name) {
            return Ok(());
        }
        let body = envelope.to_string();
        // The receiver compares the time with its own, so it is that of this try.
        let headers = self.settings.signer.headers(&event.id.to_string(), SystemClock.now(), &body);
        let mut request =
            self.client.post(self.settings.url.clone()).header(header::CONTENT_TYPE, "application/cloudevents+json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(parent) = &event.traceparent {
            request = request.header("traceparent", parent);
        }
        let response = request.body(body).send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(PostFailure::Refused(status.as_u16())) }
    }
}

/// Without the error's own text, in which the URL stands: it may hold a secret.
fn unreachable(error: &reqwest::Error) -> PostFailure {
    PostFailure::Unreachable(if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_names_or_beginnings() {
        let some = EventTypes::parse("user.*, login.failed,").unwrap();
        for (name, included) in
            [("user.deleted", true), ("login.failed", true), ("session.revoked", false), ("user", false)]
        {
            assert_eq!(some.include(name), included, "{name}");
        }
        assert!(EventTypes::default().include("user.deleted"));
        assert!(EventTypes::parse("*").unwrap().include("user.deleted"));
        for wrong in ["user", "user.delete", "use*", "users.*", "user.*.x", "user.deleted;login.failed"] {
            assert!(EventTypes::parse(wrong).is_err(), "{wrong}");
        }
    }
}
