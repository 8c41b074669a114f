//! The providers of messages and the publisher of events, as the settings name them.

use std::sync::Arc;

use crate::{
    config::{ProviderSettings, Settings},
    domain::{Clock, SystemClock},
    events::{EventPublisher, EventWebhook, LogPublisher, RabbitPublisher},
    notify::{Console, Inbox, Notifier, Notifiers, ProviderChain, Smtp, Twilio, Webhook},
};

/// The providers alone, to try them.
pub fn notifiers(settings: &Settings) -> Notifiers {
    build_notifiers(settings, &(Arc::new(SystemClock) as Arc<dyn Clock>), None)
}

/// The providers of each channel, in the order of the settings.
pub(super) fn build_notifiers(settings: &Settings, clock: &Arc<dyn Clock>, inbox: Option<Arc<Inbox>>) -> Notifiers {
    let console = Arc::new(Console::default());
    let chain = |providers: &[ProviderSettings]| {
        ProviderChain::new(providers.iter().map(|provider| notifier(provider, &console)).collect(), Arc::clone(clock))
    };
    Notifiers { sms: chain(&settings.notify.sms), email: chain(&settings.notify.email), inbox }
}

/// Each provider that a channel names, once.
pub fn named_providers(settings: &Settings) -> Vec<Arc<dyn Notifier>> {
    let console = Arc::new(Console::default());
    let named = settings.notify.sms.iter().chain(&settings.notify.email).map(|provider| notifier(provider, &console));
    let mut providers: Vec<Arc<dyn Notifier>> = Vec::new();
    for provider in named {
        if providers.iter().all(|other| other.name() != provider.name()) {
            providers.push(provider);
        }
    }
    providers
}

fn notifier(provider: &ProviderSettings, console: &Arc<Console>) -> Arc<dyn Notifier> {
    match provider {
        ProviderSettings::Console => Arc::clone(console) as Arc<dyn Notifier>,
        ProviderSettings::Twilio(settings) => Arc::new(Twilio::new(settings.clone())),
        ProviderSettings::Webhook(settings) => Arc::new(Webhook::new(settings.clone())),
        #[cfg(feature = "aws")]
        ProviderSettings::Sns(settings) => Arc::new(crate::notify::Sns::new(settings.clone())),
        ProviderSettings::Smtp(settings) => Arc::new(Smtp::new(settings.clone()).expect("the TLS library is built in")),
    }
}

pub(super) fn event_webhook(settings: &Settings) -> Option<EventWebhook> {
    let webhook = settings.events.webhook.clone()?;
    Some(EventWebhook::new(webhook, settings.server.public_url.clone()))
}

pub(super) fn publisher(settings: &Settings) -> Arc<dyn EventPublisher> {
    match &settings.events.rabbitmq {
        Some(url) => Arc::new(RabbitPublisher::new(url.clone(), settings.server.public_url.clone())),
        None => Arc::new(LogPublisher),
    }
}
