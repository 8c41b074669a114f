//! Messages by a webhook.

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, RequestBuilder, StatusCode, Url, header};
use serde_json::json;

use super::{
    Message, Notifier, Receipt, SendError,
    http::{client, refused, traced, unreachable},
};
use crate::domain::{Clock, SystemClock, Timestamp};

/// Sends messages to the operator's own gateway: a POST signed as Standard Webhooks 1.0 says (id, timestamp and
/// body under HMAC-SHA256).
pub struct Webhook {
    client: Client,
    settings: WebhookSettings,
}

/// The settings of the webhook.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The gateway.
    pub url: Url,
    /// Signs the messages.
    pub secret: WebhookSecret,
    /// Signs them too, while receivers change over.
    pub previous_secret: Option<WebhookSecret>,
}

/// A secret of 24 to 64 octets. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct WebhookSecret(Box<hmac::Key>);

impl WebhookSecret {
    /// Parses `whsec_` and base64.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let octets = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok();
        let octets = octets.filter(|octets| (24..=64).contains(&octets.len()));
        let octets = octets.ok_or("must be `whsec_` and 24 to 64 octets in base64")?;
        Ok(Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &octets))))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, signed.as_bytes())))
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl Webhook {
    /// Prepares the client without connecting.
    pub fn new(settings: WebhookSettings) -> Self {
        Self { client: client(), settings }
    }

    fn signed(&self, id: &str, now: Timestamp, body: String) -> RequestBuilder {
        let secrets = std::iter::once(&self.settings.secret).chain(&self.settings.previous_secret);
        let signatures: Vec<String> = secrets.map(|secret| secret.sign(id, now.seconds(), &body)).collect();
        self.client
            .post(self.settings.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.seconds().to_string())
            .header("webhook-signature", signatures.join(" "))
            .body(body)
    }
}

#[async_trait]
impl Notifier for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        // The receiver compares it with the real time, not with the clock of a test.
        let now = SystemClock.now();
        let body = json!({
            "type": "message.send",
            "timestamp": now.to_string(),
            "data": {
                "channel": message.channel.as_str(),
                "to": message.to,
                "purpose": message.purpose,
                "subject": message.subject,
                "text": message.body,
                "html": message.html,
                "expires_at": message.meta.expires_at.to_string(),
            },
        })
        .to_string();
        let request = self.signed(&message.meta.id, now, body);
        let response = traced(request).send().await.map_err(|error| unreachable(&error))?;
        match response.status() {
            status if status.is_success() => Ok(None),
            StatusCode::UNPROCESSABLE_ENTITY => Err(SendError::Final("the gateway answered 422".to_owned())),
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::PAYLOAD_TOO_LARGE => {
                Err(refused(&response).of_message())
            }
            _ => Err(refused(&response)),
        }
    }

    /// Posts a `ping`, signed like a message.
    async fn check(&self) -> Result<(), SendError> {
        let now = SystemClock.now();
        let body = json!({"type": "ping", "timestamp": now.to_string(), "data": {}}).to_string();
        let request = self.signed(&format!("ping_{}", now.seconds()), now, body);
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        if response.status().is_success() { Ok(()) } else { Err(refused(&response)) }
    }
}
