//! Events and where they go.

use super::{
    notify::{signer, web_url},
    reader::Reader,
};
use crate::{
    domain::EventSink,
    events::{EventTypes, EventWebhookSettings, RabbitUrl},
};

/// Events and where they go.
#[derive(Debug, Clone)]
pub struct EventSettings {
    /// `None`: events go to the log.
    pub rabbitmq: Option<RabbitUrl>,
    /// Events that no queue receives are set aside, not dropped.
    pub keep_unroutable: bool,
    /// Whether the events of an account describe it.
    pub personal_data: bool,
    /// Beside RabbitMQ or the log.
    pub webhook: Option<EventWebhookSettings>,
}

impl EventSettings {
    /// Where events go.
    pub fn sinks(&self) -> Vec<EventSink> {
        let webhook = self.webhook.as_ref().map(|_| EventSink::Webhook);
        std::iter::once(EventSink::Rabbitmq).chain(webhook).collect()
    }
}

pub(super) fn events(settings: &mut Reader) -> EventSettings {
    let exchange = settings.text("events.exchange").unwrap_or_else(|| "enroll.events".to_owned());
    EventSettings {
        rabbitmq: settings.parsed("amqp_url", None, |url| RabbitUrl::parse(url, exchange).map(Some)),
        keep_unroutable: settings.parsed("events.unroutable", false, |text| match text {
            "drop" => Ok(false),
            "keep" => Ok(true),
            _ => Err("must be drop or keep"),
        }),
        personal_data: settings.flag("events.personal_data", false),
        webhook: webhook(settings),
    }
}

fn webhook(settings: &mut Reader) -> Option<EventWebhookSettings> {
    let url = settings.parsed("events.webhook.url", None, |text| web_url(text).map(Some));
    let problems = settings.problems.len();
    let signer = signer(settings, ["events.webhook.secret", "events.webhook.previous_secret"]);
    if url.is_some() && signer.is_none() && settings.problems.len() == problems {
        settings.problem("events.webhook.secret", "is required with the URL: `whsec_` and 24 to 64 octets in base64");
    }
    let types = settings.parsed("events.webhook.types", EventTypes::default(), EventTypes::parse);
    Some(EventWebhookSettings { url: url?, signer: signer?, types })
}
