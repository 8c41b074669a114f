//! Text messages by Amazon SNS.

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_sns::{Client, types::MessageAttributeValue};
use tokio::sync::OnceCell;

use super::{Message, Notifier, Receipt, SendError};

/// Sends text messages by Amazon SNS. Credentials come from the chain of the AWS SDK, at the first message.
pub struct Sns {
    client: OnceCell<Client>,
    settings: SnsSettings,
}

/// The settings of Amazon SNS.
#[derive(Debug, Clone)]
pub struct SnsSettings {
    /// The AWS region.
    pub region: String,
    /// An endpoint in place of the region's.
    pub endpoint_url: Option<String>,
    /// The sender that the phone shows.
    pub sender_id: Option<String>,
    /// The sender as registered for India's DLT.
    pub entity_id: Option<String>,
    /// The template as registered for India's DLT.
    pub template_id: Option<String>,
}

impl Sns {
    /// Prepares the client without connecting.
    pub fn new(settings: SnsSettings) -> Self {
        Self { client: OnceCell::new(), settings }
    }

    async fn client(&self) -> &Client {
        let connect = async || {
            let mut config = aws_config::defaults(BehaviorVersion::latest())
                .region(Region::new(self.settings.region.clone()))
                .retry_config(RetryConfig::disabled()); // the outbox retries, and knows for how long
            if let Some(url) = &self.settings.endpoint_url {
                config = config.endpoint_url(url);
            }
            Client::new(&config.load().await)
        };
        self.client.get_or_init(connect).await
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        let SnsSettings { sender_id, entity_id, template_id, .. } = &self.settings;
        let given = [
            ("AWS.SNS.SMS.SenderID", sender_id),
            ("AWS.MM.SMS.EntityId", entity_id),
            ("AWS.MM.SMS.TemplateId", template_id),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        std::iter::once(("AWS.SNS.SMS.SMSType", "Transactional".to_owned())).chain(given).collect()
    }
}

#[async_trait]
impl Notifier for Sns {
    fn name(&self) -> &'static str {
        "sns"
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let mut publish = self.client().await.publish().phone_number(&message.to).message(&message.body);
        for (name, value) in self.attributes() {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            publish = publish.message_attributes(name, value.map_err(SendError::later)?);
        }
        let error = match publish.send().await {
            Ok(taken) => return Ok(taken.message_id),
            Err(error) => error,
        };
        let Some(refused) = error.as_service_error() else {
            return Err(SendError::later(cause_of(&error)));
        };
        let code = refused.meta().code().unwrap_or("an unknown error").to_owned();
        if code.starts_with("OptedOut") {
            return Err(SendError::Final(code));
        }
        let concerns_number = refused.meta().message().is_some_and(|text| text.contains("PhoneNumber"));
        if concerns_number
            && (refused.is_invalid_parameter_exception() || refused.is_invalid_parameter_value_exception())
        {
            return Err(SendError::Final(code));
        }
        let is_about_everything =
            ["Throttl", "Internal", "Auth", "Security", "Signature", "Access", "KMS", "Unavailable"];
        let later = SendError::later(&code);
        Err(if is_about_everything.iter().any(|word| code.contains(word)) { later } else { later.of_message() })
    }

    /// Asks for the account's settings; credentials that may only publish are good as well.
    async fn check(&self) -> Result<(), SendError> {
        let Err(error) = self.client().await.get_sms_attributes().send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(refused) if refused.is_authorization_error_exception() => Ok(()),
            Some(refused) => Err(SendError::later(refused.meta().code().unwrap_or("an unknown error"))),
            None => Err(SendError::later(cause_of(&error))),
        }
    }
}

/// The innermost cause, as of credentials that were not found.
fn cause_of(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}
