//! Text messages by Twilio, and its delivery reports.

use async_trait::async_trait;
use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    Message, Notifier, Receipt, SendError,
    http::{body_of, client, refused, traced, unreachable},
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

/// A message that Twilio took.
#[derive(Deserialize)]
struct Accepted {
    sid: String,
}

/// The body of an error.
#[derive(Deserialize)]
struct Refusal {
    code: Option<u32>,
}

/// The number is invalid, not a mobile, unreachable, blocked or unsubscribed (Twilio's error dictionary).
const OF_RECIPIENT: [u32; 10] = [21_211, 21_214, 21_217, 21_401, 21_610, 21_614, 30_003, 30_004, 30_005, 30_006];
/// Wrong credentials, too many requests, the account's daily limit: whatever is sent is refused.
const OF_ACCOUNT: [u32; 4] = [20_003, 20_005, 20_429, 63_038];

impl Twilio {
    /// Prepares the client without connecting.
    pub fn new(settings: TwilioSettings) -> Self {
        Self { client: client(), settings }
    }

    /// A request about the account, or below it.
    fn request(&self, method: Method, below: &str) -> Result<RequestBuilder, SendError> {
        let TwilioSettings { account_sid, auth_token, api_key, base_url, .. } = &self.settings;
        let (user, password) = match (api_key, auth_token) {
            (Some((key, secret)), _) => (key, secret),
            (None, Some(token)) => (account_sid, token),
            (None, None) => return Err(SendError::later("it has no credentials")),
        };
        let url = format!("{base_url}/2010-04-01/Accounts/{account_sid}{below}");
        Ok(self.client.request(method, url).basic_auth(user, Some(password.expose_secret())))
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

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let request = self.request(Method::POST, "/Messages.json")?.form(&self.form(message));
        let response = traced(request).send().await.map_err(|error| unreachable(&error))?;
        if response.status() == StatusCode::CREATED {
            let taken = serde_json::from_slice::<Accepted>(&body_of(response).await).ok();
            return Ok(taken.map(|taken| taken.sid));
        }
        let is_about_the_message =
            response.status().is_client_error() && response.status() != StatusCode::TOO_MANY_REQUESTS;
        let later = refused(&response);
        let body = body_of(response).await;
        let code = serde_json::from_slice::<Refusal>(&body).ok().and_then(|refusal| refusal.code);
        match (code, later) {
            (Some(code), _) if is_about_the_message && OF_RECIPIENT.contains(&code) => {
                Err(SendError::Final(format!("Twilio's error {code}")))
            }
            (Some(code), SendError::Later { fault, cause, after }) => {
                let later = SendError::Later { fault, cause: format!("{cause}, error {code}"), after };
                let is_about_the_message = is_about_the_message && !OF_ACCOUNT.contains(&code);
                Err(if is_about_the_message { later.of_message() } else { later })
            }
            (_, later) => Err(later),
        }
    }

    /// Fetches the account.
    async fn check(&self) -> Result<(), SendError> {
        let response = self.request(Method::GET, ".json")?.send().await.map_err(|error| unreachable(&error))?;
        if response.status().is_success() { Ok(()) } else { Err(refused(&response)) }
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

    /// Whether Twilio signed the report: the URL with its query, then each field's name and value, sorted. Twilio may
    /// sign the URL with its port or without.
    pub fn is_genuine(&self, query: &str, fields: &[(String, String)], signature: &str) -> bool {
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort();
        let fields: String = fields.into_iter().flat_map(|(name, value)| [name.as_str(), value]).collect();
        let given = STANDARD.decode(signature).unwrap_or_default();
        [Some(self.url.clone()), with_port(&self.url), without_port(&self.url)].into_iter().flatten().any(|url| {
            let expected = hmac::sign(&self.key, format!("{url}?{query}{fields}").as_bytes());
            verify_slices_are_equal(expected.as_ref(), &given).is_ok()
        })
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

/// The URL with the port of its scheme, if it has none.
fn with_port(url: &str) -> Option<String> {
    let parsed = Url::parse(url).ok().filter(|url| url.port().is_none())?;
    let host = parsed.host_str()?;
    Some(url.replacen(host, &format!("{host}:{}", parsed.port_or_known_default()?), 1))
}

/// The URL without its port, if it has one.
fn without_port(url: &str) -> Option<String> {
    let port = Url::parse(url).ok()?.port()?;
    Some(url.replacen(&format!(":{port}"), "", 1))
}
