use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, mpsc};

use crate::{
    codes::{CodeStore, MemoryCodes, RedisCodes},
    config::{ProviderSettings, Settings},
    crypto::{Hasher, Keyring, Tokens},
    domain::{Clock, Random},
    engine::{Credentials, Guessing, Issuer, Journal, Notices, Readiness, Reauthentication, SessionOpener, Throttle},
    events::{EventPublisher, LogPublisher, RabbitPublisher},
    http,
    limits::{Limiter, MemoryLimits, RedisLimits},
    notify::{Console, Inbox, Notifier, Notifiers, Route, Smtp, Twilio, TwilioCallback, Webhook},
    redis::RedisLink,
    services::{
        AskingService, ContactService, Deliveries, LoginService, ProfileService, RecoveryService, RegistrationService,
        ResendService, Sessions, StatusService, VerificationService,
    },
    store::Store,
    workers::{DESK, Delivery, Failures, Publishing},
};

/// In-memory destinations and counters; beyond it requests are refused, and nothing is forgotten.
const MEMORY_BOUND: usize = 100_000;
/// Failed logins that wait to be written down; more are dropped.
const FAILURES_BOUND: usize = 1_000;

/// What all services are made of.
pub(super) struct Base {
    pub(super) store: Store,
    pub(super) redis: Option<RedisLink>,
    pub(super) keyring: Keyring,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) inbox: Option<Arc<Inbox>>,
}

/// What runs beside the requests.
pub(super) struct Work {
    pub(super) delivery: Delivery,
    pub(super) publishing: Publishing,
    pub(super) failures: Failures,
}

/// What most services share.
struct Shared {
    store: Store,
    throttle: Throttle,
    hasher: Hasher,
    issuer: Issuer,
    guessing: Guessing,
    credentials: Credentials,
    sessions: Sessions,
    journal: Journal,
    notices: Notices,
    reauthentication: Reauthentication,
}

impl Base {
    pub(super) fn build(self, settings: &Settings, readiness: Readiness) -> (http::Parts, Work) {
        let wake = Arc::<Notify>::default();
        let (failures, told) = mpsc::channel(FAILURES_BOUND);
        let journal =
            Journal { keyring: self.keyring.clone(), random: Arc::clone(&self.random), wake: Arc::default(), failures };
        let codes: Arc<dyn CodeStore> = match &self.redis {
            Some(link) => Arc::new(RedisCodes::new(link.clone())),
            None => Arc::new(MemoryCodes::new(MEMORY_BOUND)),
        };
        let shared = self.share(settings, &codes, &wake, &journal);
        let work = Work {
            publishing: Publishing {
                store: self.store.clone(),
                keyring: self.keyring.clone(),
                publisher: publisher(settings),
                keep_unroutable: settings.keep_unroutable,
                random: Arc::clone(&self.random),
                clock: Arc::clone(&self.clock),
                node: self.random.secret_id(),
                wake: Arc::clone(&journal.wake),
            },
            failures: Failures { store: self.store.clone(), journal, told },
            delivery: self.delivery(settings, codes, wake),
        };
        (shared.services(settings, readiness, self.inbox), work)
    }

    fn delivery(&self, settings: &Settings, codes: Arc<dyn CodeStore>, wake: Arc<Notify>) -> Delivery {
        Delivery {
            store: self.store.clone(),
            codes,
            keyring: self.keyring.clone(),
            notifiers: notifiers(settings, &self.clock, self.inbox.clone()),
            desk: Arc::new(Semaphore::new(DESK)),
            templates: settings.notify.templates.clone(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            wake,
        }
    }

    fn share(&self, settings: &Settings, codes: &Arc<dyn CodeStore>, wake: &Arc<Notify>, journal: &Journal) -> Shared {
        let Self { store, redis, keyring, clock, random, .. } = self;
        let limiter: Arc<dyn Limiter> = match redis {
            Some(link) => Arc::new(RedisLimits::new(link.clone())),
            None => Arc::new(MemoryLimits::new(MEMORY_BOUND)),
        };
        let local = Arc::new(MemoryLimits::new(MEMORY_BOUND));
        let throttle = Throttle::new(limiter, local, Arc::clone(clock), Arc::clone(random), settings.limits.clone());
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let hasher = Hasher::new(settings.hashing, at_once);
        let issuer = Issuer {
            codes: Arc::clone(codes),
            keyring: keyring.clone(),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            wake: Arc::clone(wake),
            settings: settings.codes.clone(),
        };
        let sessions = Sessions {
            store: store.clone(),
            opener: SessionOpener {
                tokens: Tokens::new(keyring.clone(), settings.tokens.clone()),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                settings: settings.sessions,
            },
            journal: journal.clone(),
        };
        Shared {
            store: store.clone(),
            guessing: Guessing { store: store.clone(), issuer: issuer.clone(), throttle: throttle.clone() },
            credentials: Credentials {
                store: store.clone(),
                throttle: throttle.clone(),
                hasher: hasher.clone(),
                keyring: keyring.clone(),
                clock: Arc::clone(clock),
            },
            reauthentication: Reauthentication {
                store: store.clone(),
                throttle: throttle.clone(),
                hasher: hasher.clone(),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                fresh_for: settings.sessions.fresh_for,
            },
            notices: Notices { keyring: keyring.clone(), random: Arc::clone(random) },
            journal: journal.clone(),
            throttle,
            hasher,
            issuer,
            sessions,
        }
    }
}

fn publisher(settings: &Settings) -> Arc<dyn EventPublisher> {
    match &settings.rabbitmq {
        Some(address) => Arc::new(RabbitPublisher::new(address.clone(), settings.server.public_url.clone())),
        None => Arc::new(LogPublisher),
    }
}

/// The providers that the settings name, in their order.
pub(super) fn notifiers(settings: &Settings, clock: &Arc<dyn Clock>, inbox: Option<Arc<Inbox>>) -> Notifiers {
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
    let route =
        |providers: &[ProviderSettings]| Route::new(providers.iter().map(notifier).collect(), Arc::clone(clock));
    Notifiers { sms: route(&settings.notify.sms), email: route(&settings.notify.email), inbox }
}

impl Shared {
    fn services(self, settings: &Settings, readiness: Readiness, inbox: Option<Arc<Inbox>>) -> http::Parts {
        let Self { store, throttle, hasher, issuer, guessing, credentials, sessions, .. } = self;
        let Self { journal, notices, reauthentication, .. } = self;
        let login = LoginService {
            store: store.clone(),
            issuer: issuer.clone(),
            throttle: throttle.clone(),
            hasher: hasher.clone(),
            credentials: credentials.clone(),
            sessions: sessions.clone(),
            guessing: guessing.clone(),
            journal: journal.clone(),
        };
        let resending = ResendService {
            store: store.clone(),
            issuer: issuer.clone(),
            throttle: throttle.clone(),
            registration_ttl: settings.registrations_ttl,
        };
        http::Parts {
            profile: ProfileService { reauthentication: reauthentication.clone(), journal: journal.clone() },
            contacts: ContactService {
                guessing: guessing.clone(),
                reauthentication,
                notices: notices.clone(),
                journal: journal.clone(),
            },
            recovery: RecoveryService {
                guessing: guessing.clone(),
                hasher: hasher.clone(),
                notices,
                journal: journal.clone(),
            },
            asking: AskingService { store: store.clone(), issuer: issuer.clone(), throttle: throttle.clone() },
            registration: RegistrationService {
                store: store.clone(),
                issuer: issuer.clone(),
                throttle,
                hasher,
                credentials: credentials.clone(),
                journal: journal.clone(),
                ttl: settings.registrations_ttl,
            },
            verification: VerificationService {
                guessing,
                sessions: sessions.clone(),
                credentials,
                resending: resending.clone(),
                login: login.clone(),
                journal,
            },
            login,
            deliveries: Deliveries {
                store: store.clone(),
                keyring: issuer.keyring.clone(),
                clock: Arc::clone(&issuer.clock),
            },
            status: StatusService { store, issuer, budget: settings.limits.wrong_tries_per_destination.clone() },
            resending,
            sessions,
            readiness,
            inbox,
            twilio: settings.notify.twilio().and_then(TwilioCallback::new),
            phone: settings.phone.clone(),
            password_min_length: settings.password_min_length,
        }
    }
}
