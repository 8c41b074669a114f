//! The providers of messages and the publisher of events, as the settings name them.

use std::sync::Arc;

use crate::{
    config::{ProviderSettings, Settings},
    domain::{Clock, SystemClock},
    events::{EventPublisher, LogPublisher, RabbitPublisher},
    notify::{Console, Inbox, Notifier, Notifiers, ProviderChain, Smtp, Twilio, Webhook},
};

/// The providers alone, to try them.
pub fn notifiers(settings: &Settings) -> Notifiers {
    build_notifiers(settings, &(Arc::new(SystemClock) as Arc<dyn Clock>), None)
}

/// The providers of each channel, in the order of the settings.
pub(super) fn build_notifiers(settings: &Settings, clock: &Arc<dyn Clock>, inbox: Option<Arc<Inbox>>) -> Notifiers {
    let console = Arc::new(Console::default());
    let notifier = |provider: &ProviderSettings| -> Arc<dyn Notifier> {
        match provider {
            ProviderSettings::Console => console.clone(),
            ProviderSettings::Twilio(settings) => Arc::new(Twilio::new(settings.clone())),
            ProviderSettings::Webhook(settings) => Arc::new(Webhook::new(settings.clone())),
            #[cfg(feature = "aws")]
            ProviderSettings::Sns(settings) => Arc::new(crate::notify::Sns::new(settings.clone())),
            ProviderSettings::Smtp(settings) => Arc::new(Smtp::new(settings).expect("the TLS library is built in")),
        }
    };
    let chain = |providers: &[ProviderSettings]| {
        ProviderChain::new(providers.iter().map(notifier).collect(), Arc::clone(clock))
    };
    Notifiers { sms: chain(&settings.notify.sms), email: chain(&settings.notify.email), inbox }
}

pub(super) fn publisher(settings: &Settings) -> Arc<dyn EventPublisher> {
    match &settings.rabbitmq {
        Some(url) => Arc::new(RabbitPublisher::new(url.clone(), settings.server.public_url.clone())),
        None => Arc::new(LogPublisher),
    }
}
