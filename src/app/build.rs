use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    codes::{CodeStore, MemoryCodes, RedisCodes},
    config::Settings,
    crypto::{Hasher, Keyring, Tokens},
    domain::{Clock, Random},
    http::{self, Readiness},
    limits::{Limiter, MemoryLimits, RedisLimits},
    link::RedisLink,
    notify::{Console, Inbox, Notifiers, Templates},
    services::{
        Credentials, Issuer, LoginService, ProfileService, RegistrationService, ResendService, Sessions, StatusService,
        Throttle, VerificationService,
    },
    store::Store,
    workers::Delivery,
};

/// In-memory destinations and counters; beyond it requests are refused, and nothing is forgotten.
const MEMORY_BOUND: usize = 100_000;

/// What all services are made of.
pub(super) struct Base {
    pub(super) store: Store,
    pub(super) redis: Option<RedisLink>,
    pub(super) keyring: Keyring,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) wake: Arc<Notify>,
    pub(super) inbox: Option<Arc<Inbox>>,
}

impl Base {
    pub(super) fn build(self, settings: &Settings, readiness: Arc<dyn Readiness>) -> (http::Parts, Delivery) {
        let Self { store, redis, keyring, clock, random, wake, inbox } = self;
        let codes: Arc<dyn CodeStore> = match &redis {
            Some(link) => Arc::new(RedisCodes::new(link.clone())),
            None => Arc::new(MemoryCodes::new(MEMORY_BOUND)),
        };
        let limiter: Arc<dyn Limiter> = match &redis {
            Some(link) => Arc::new(RedisLimits::new(link.clone())),
            None => Arc::new(MemoryLimits::new(MEMORY_BOUND)),
        };
        let throttle = Throttle::new(limiter, Arc::clone(&clock), Arc::clone(&random), settings.limits.clone());
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let hasher = Hasher::new(settings.hashing, at_once);
        let issuer = Issuer {
            codes: Arc::clone(&codes),
            keyring: keyring.clone(),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            wake: Arc::clone(&wake),
            settings: settings.codes.clone(),
        };
        let credentials = Credentials {
            store: store.clone(),
            throttle: throttle.clone(),
            hasher: hasher.clone(),
            keyring: keyring.clone(),
            clock: Arc::clone(&clock),
        };
        let sessions = Sessions {
            store: store.clone(),
            tokens: Tokens::new(keyring.clone(), settings.tokens.clone()),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            settings: settings.sessions,
        };
        let resending = ResendService {
            store: store.clone(),
            issuer: issuer.clone(),
            throttle: throttle.clone(),
            registration_ttl: settings.registrations_ttl,
        };
        let console = Arc::new(Console::default());
        let delivery = Delivery {
            store: store.clone(),
            codes: Arc::clone(&codes),
            keyring,
            notifiers: Notifiers { sms: console.clone(), email: console, inbox: inbox.clone() },
            templates: Templates { brand: settings.notify.brand.clone() },
            clock: Arc::clone(&clock),
            random,
            wake,
        };
        let parts = http::Parts {
            profile: ProfileService {
                store: store.clone(),
                throttle: throttle.clone(),
                hasher: hasher.clone(),
                sessions: sessions.clone(),
                clock: Arc::clone(&delivery.clock),
            },
            login: LoginService {
                store: store.clone(),
                issuer: issuer.clone(),
                throttle: throttle.clone(),
                hasher: hasher.clone(),
                credentials: credentials.clone(),
                sessions: sessions.clone(),
            },
            registration: RegistrationService {
                store: store.clone(),
                issuer: issuer.clone(),
                throttle: throttle.clone(),
                hasher,
                credentials: credentials.clone(),
                ttl: settings.registrations_ttl,
            },
            verification: VerificationService {
                store: store.clone(),
                issuer: issuer.clone(),
                throttle,
                sessions: sessions.clone(),
                credentials,
                resending: resending.clone(),
            },
            status: StatusService { store, issuer, budget: settings.limits.wrong_tries_per_destination.clone() },
            resending,
            sessions,
            readiness,
            inbox,
            phone: settings.phone.clone(),
            password_min_length: settings.password_min_length,
        };
        (parts, delivery)
    }
}
