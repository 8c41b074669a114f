//! Text messages by Twilio, and its delivery reports.

use async_trait::async_trait;
use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    Message, Notifier, SendError,
    http::{client, refused, unreachable},
};
use crate::domain::{Clock, DeliveryState, SystemClock};

/// Sends text messages by Twilio (Programmable Messaging, API version 2010-04-01).
pub struct Twilio {
    client: Client,
    settings: TwilioSettings,
}

/// The settings of Twilio.
#[derive(Debug, Clone)]
pub struct TwilioSettings {
    /// The account.
    pub account_sid: String,
    /// Authenticates if there is no API key, and signs Twilio's callbacks.
    pub auth_token: Option<SecretString>,
    /// The id and the secret of an API key.
    pub api_key: Option<(String, SecretString)>,
    /// The sender.
    pub sender: TwilioSender,
    /// The URL of the API.
    pub base_url: String,
    /// The URL that Twilio reports to; none without a public URL and a token to check the signature with.
    pub callback: Option<String>,
}

/// The sender of text messages.
#[derive(Debug, Clone)]
pub enum TwilioSender {
    /// A number.
    Number(String),
    /// The SID of a messaging service.
    MessagingService(String),
}

/// The body of an error.
#[derive(Deserialize)]
struct Refusal {
    code: Option<u32>,
}

/// The number is invalid, not a mobile, unreachable or unsubscribed (Twilio's error dictionary).
const PERMANENT: [u32; 7] = [21_211, 21_214, 21_217, 21_401, 21_601, 21_610, 21_614];

impl Twilio {
    /// Prepares the client without connecting.
    pub fn new(settings: TwilioSettings) -> Self {
        Self { client: client(), settings }
    }

    fn form(&self, message: &Message) -> Vec<(&'static str, String)> {
        let left = message.meta.expires_at.after(SystemClock.now()).as_secs().clamp(1, 36_000);
        let mut form = vec![
            ("To", message.to.clone()),
            ("Body", message.body.clone()),
            // A message that Twilio cannot send in time is not to be sent at all.
            ("ValidityPeriod", left.to_string()),
        ];
        form.push(match &self.settings.sender {
            TwilioSender::Number(number) => ("From", number.clone()),
            TwilioSender::MessagingService(sid) => ("MessagingServiceSid", sid.clone()),
        });
        if let Some(callback) = &self.settings.callback {
            form.push(("StatusCallback", format!("{callback}?message={}", message.meta.number)));
        }
        form
    }
}

#[async_trait]
impl Notifier for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let TwilioSettings { account_sid, auth_token, api_key, base_url, .. } = &self.settings;
        let (user, password) = match (api_key, auth_token) {
            (Some((key, secret)), _) => (key, secret),
            (None, Some(token)) => (account_sid, token),
            (None, None) => return Err(SendError::later("it has no credentials")),
        };
        let url = format!("{base_url}/2010-04-01/Accounts/{account_sid}/Messages.json");
        let request = self.client.post(url).basic_auth(user, Some(password.expose_secret())).form(&self.form(message));
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        if response.status() == StatusCode::CREATED {
            return Ok(());
        }
        let is_bad_request = response.status() == StatusCode::BAD_REQUEST;
        let later = refused(&response);
        let body = response.bytes().await.unwrap_or_default();
        let code = serde_json::from_slice::<Refusal>(&body).ok().and_then(|refusal| refusal.code);
        match (code, later) {
            (Some(code), _) if is_bad_request && PERMANENT.contains(&code) => {
                Err(SendError::Final(format!("Twilio's error {code}")))
            }
            (Some(code), SendError::Later { cause, after }) => {
                Err(SendError::Later { cause: format!("{cause}, error {code}"), after })
            }
            (_, later) => Err(later),
        }
    }
}

/// Checks and reads the delivery reports of Twilio.
#[derive(Clone)]
pub struct TwilioCallback {
    key: hmac::Key,
    url: String,
}

impl TwilioCallback {
    /// `None` if the settings have no token or no public URL.
    pub fn new(settings: &TwilioSettings) -> Option<Self> {
        let token = settings.auth_token.as_ref()?;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.expose_secret().as_bytes());
        Some(Self { key, url: settings.callback.clone()? })
    }

    /// Whether Twilio signed the report: the URL with its query, then each field's name and value, sorted.
    pub fn is_genuine(&self, query: &str, fields: &[(String, String)], signature: &str) -> bool {
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort();
        let mut signed = format!("{}?{query}", self.url);
        for (name, value) in fields {
            signed.push_str(name);
            signed.push_str(value);
        }
        let expected = hmac::sign(&self.key, signed.as_bytes());
        let given = STANDARD.decode(signature).unwrap_or_default();
        verify_slices_are_equal(expected.as_ref(), &given).is_ok()
    }

    /// The state of the message, if the report says more than that it was sent.
    pub fn state(fields: &[(String, String)]) -> Option<DeliveryState> {
        let status = fields.iter().find(|(name, _)| name == "MessageStatus").map(|(_, value)| value.as_str());
        match status? {
            "delivered" | "read" => Some(DeliveryState::Delivered),
            "undelivered" => Some(DeliveryState::Undelivered),
            "failed" | "canceled" => Some(DeliveryState::Failed),
            _ => None,
        }
    }
}
