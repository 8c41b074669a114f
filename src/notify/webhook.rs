//! Messages by a webhook.

use async_trait::async_trait;
use reqwest::{Client, RequestBuilder, StatusCode, Url, header};
use serde_json::json;

use super::{
    Message, Notifier, Receipt, SendError,
    http::{client, refused, traced, unreachable},
};
use crate::{
    crypto::WebhookSigner,
    domain::{Clock, SystemClock, Timestamp},
};

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
    pub signer: WebhookSigner,
}

impl Webhook {
    /// Prepares the client without connecting.
    pub fn new(settings: WebhookSettings) -> Self {
        Self { client: client(), settings }
    }

    fn signed(&self, id: &str, now: Timestamp, body: String) -> RequestBuilder {
        let request = self.client.post(self.settings.url.clone()).header(header::CONTENT_TYPE, "application/json");
        let headers = self.settings.signer.headers(id, now, &body);
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).body(body)
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
                "id": message.meta.id,
                "channel": message.channel.as_str(),
                "to": message.to,
                "country": Some(&message.country).filter(|country| !country.is_empty()),
                "purpose": message.purpose,
                "locale": message.locale,
                "subject": message.subject,
                "text": message.body,
                "html": message.html,
                "code": message.otp,
                "verification_id": message.verification_id,
                "brand": message.brand,
                "app_hash": message.app_hash,
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
