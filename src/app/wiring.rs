//! The parts of every service and worker.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::providers::{build_notifiers, event_webhook, publisher};
use crate::{
    codes::{AnswerStore, AttemptJudge, CodeStore, MemoryAnswers, MemoryCodes, RedisAnswers, RedisCodes},
    config::Settings,
    crypto::{Hasher, Tokens},
    engine::{
        AccountCreator, Admission, CodeChecker, CodeIssuer, CodeLength, Core, DeferredLines, DeferredReceivers,
        EventLog, Gauges, Notices, PasswordChecker, PasswordWriter, PumpingGuard, PuzzleMaster, RateLimits, Readiness,
        SendGate, ServiceCounts, SessionOpener, VerificationWatch,
    },
    http,
    limits::{Limiter, MemoryLimits, RedisLimits},
    notify::{Inbox, TwilioCallback},
    puzzles::ProofOfWork,
    redis::RedisClient,
    services::{
        AccountService, AddressCodeService, CodeLoginService, CodeRequestService, ContactService, DeliveryService,
        IdempotencyService, LoginService, ProfileService, RecoveryService, RegistrationService, ResendService,
        SessionService, StatusService, VerificationService,
    },
    workers::{
        CountSync, DB_PERMITS, DeferredWriter, DeliveryWorker, EventRelay, HealthMonitor, Pruner, VerificationWatcher,
        WebhookRelay,
    },
};

/// Answers kept in memory, of about a kilobyte each.
const ANSWERS_BOUND: usize = 20_000;
/// Failed logins and refusals that wait to be written; more are dropped.
const DEFERRED_BOUND: usize = 1_000;

/// The parts that services and workers are made of.
pub(super) struct Engine<'a> {
    settings: &'a Settings,
    core: Core,
    pub(super) readiness: Readiness,
    inbox: Option<Arc<Inbox>>,
    gate: SendGate,
    issuer: CodeIssuer,
    checker: CodeChecker,
    passwords: PasswordChecker,
    rate_limits: RateLimits,
    opener: SessionOpener,
    notices: Notices,
    event_log: EventLog,
    deferred: DeferredReceivers,
    answers: Arc<dyn AnswerStore>,
    watch: VerificationWatch,
}

/// The tasks that run beside the requests.
pub(super) struct Workers {
    pub(super) delivery: DeliveryWorker,
    pub(super) event_relay: EventRelay,
    pub(super) webhook_relay: Option<WebhookRelay>,
    pub(super) deferred: DeferredWriter,
    pub(super) counts: CountSync,
    pub(super) health: HealthMonitor,
    pub(super) pruner: Pruner,
    pub(super) verifications: VerificationWatcher,
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        core: Core,
        redis: Option<RedisClient>,
        inbox: Option<Arc<Inbox>>,
        draining: CancellationToken,
        memory_bound: usize,
    ) -> Self {
        let (codes, limiter, answers) = short_lived(redis.as_ref(), memory_bound);
        let (lines, deferred) = DeferredLines::bounded(DEFERRED_BOUND);
        let wake = settings.events.sinks().iter().map(|_| Arc::default()).collect();
        let personal_data = settings.events.personal_data;
        let event_log = EventLog { core: core.clone(), wake, personal_data, deferred: lines.clone() };
        let rate_limits = RateLimits {
            core: core.clone(),
            shared: limiter,
            local: Arc::new(MemoryLimits::new(memory_bound)),
            settings: settings.limits.clone(),
            deferred: lines,
        };
        let abuse = &settings.abuse;
        let counts = ServiceCounts::new(abuse.numbers);
        let guard = PumpingGuard { mode: abuse.guard, settings: abuse.numbers, counts: counts.clone() };
        let gate = send_gate(settings, core.clone(), rate_limits.clone(), guard.clone(), Arc::clone(&codes));
        let issuer = CodeIssuer {
            core: core.clone(),
            codes,
            guard,
            length: CodeLength { counts, limit: settings.limits.wrong_codes },
            wake: Arc::<Notify>::default(),
            settings: settings.codes.clone(),
        };
        Self {
            checker: CodeChecker {
                core: core.clone(),
                issuer: issuer.clone(),
                judge: AttemptJudge::new(Arc::clone(&issuer.codes), Arc::clone(&rate_limits.shared), redis.clone()),
                rate_limits: rate_limits.clone(),
            },
            passwords: password_checker(settings, core.clone(), rate_limits.clone(), event_log.clone()),
            opener: SessionOpener {
                core: core.clone(),
                tokens: Tokens::new(core.keyring.clone(), settings.tokens.clone()),
                settings: settings.sessions,
                deferred: event_log.deferred.clone(),
            },
            watch: VerificationWatch::new(core.clone(), draining),
            notices: Notices { core: core.clone() },
            readiness: Readiness::new(core.store.clone(), redis, Arc::clone(&core.clock)),
            settings,
            core,
            gate,
            inbox,
            issuer,
            rate_limits,
            event_log,
            deferred,
            answers,
        }
    }

    pub(super) fn gauges(&self) -> Gauges {
        let sinks = self.settings.events.sinks();
        Gauges {
            core: self.core.clone(),
            hasher: self.passwords.hasher.clone(),
            sinks,
            test_identities: self.settings.codes.test_identities.clone(),
        }
    }

    pub(super) fn build(self) -> (http::Services, Workers) {
        (self.services(), self.workers())
    }

    fn workers(self) -> Workers {
        let Self { settings, core, .. } = self;
        let node = core.random.secret_id();
        let mut wakes = self.event_log.wake.iter().cloned();
        Workers {
            delivery: DeliveryWorker {
                core: core.clone(),
                codes: self.issuer.codes,
                test_identities: settings.codes.test_identities.clone(),
                notifiers: build_notifiers(settings, &core.clock, self.inbox),
                templates: settings.notify.templates.clone(),
                wake: self.issuer.wake,
                db_permits: Arc::new(Semaphore::new(DB_PERMITS)),
            },
            event_relay: EventRelay {
                core: core.clone(),
                publisher: publisher(settings),
                node,
                wake: wakes.next().unwrap_or_default(),
                keep_unroutable: settings.events.keep_unroutable,
                beside_webhook: settings.events.webhook.is_some(),
                refused: HashMap::new(),
            },
            counts: CountSync { core: core.clone(), counts: self.gate.guard.counts, event_log: self.event_log.clone() },
            webhook_relay: event_webhook(settings).map(|webhook| WebhookRelay {
                core: core.clone(),
                webhook,
                node,
                wake: wakes.next().unwrap_or_default(),
                held: HashMap::new(),
            }),
            deferred: DeferredWriter { event_log: self.event_log, deferred: self.deferred },
            health: HealthMonitor(self.readiness),
            verifications: VerificationWatcher(self.watch),
            pruner: Pruner { core, audit_keep: settings.audit_keep },
        }
    }

    fn profile(&self, writer: PasswordWriter) -> ProfileService {
        let Self { settings, core, passwords, rate_limits, event_log, .. } = self;
        ProfileService {
            core: core.clone(),
            passwords: passwords.clone(),
            rate_limits: rate_limits.clone(),
            accounts: AccountService {
                core: core.clone(),
                event_log: event_log.clone(),
                test_identities: settings.codes.test_identities.clone(),
            },
            event_log: event_log.clone(),
            wake: Arc::clone(&self.issuer.wake),
            writer,
        }
    }

    fn login(&self, opener: &SessionOpener) -> LoginService {
        LoginService {
            core: self.core.clone(),
            checker: self.checker.clone(),
            passwords: self.passwords.clone(),
            rate_limits: self.rate_limits.clone(),
            hasher: self.passwords.hasher.clone(),
            opener: opener.clone(),
            event_log: self.event_log.clone(),
        }
    }

    fn sessions(&self, opener: &SessionOpener) -> SessionService {
        SessionService { core: self.core.clone(), opener: opener.clone(), event_log: self.event_log.clone() }
    }

    fn resend(&self) -> ResendService {
        ResendService {
            core: self.core.clone(),
            issuer: self.issuer.clone(),
            gate: self.gate.clone(),
            rate_limits: self.rate_limits.clone(),
            registration_ttl: self.settings.registrations_ttl,
        }
    }

    fn admission(&self) -> Admission {
        Admission { core: self.core.clone(), rules: self.settings.registration_rules.clone() }
    }

    fn verification(&self, opener: &SessionOpener) -> VerificationService {
        let creator = AccountCreator { opener: opener.clone(), event_log: self.event_log.clone() };
        VerificationService {
            core: self.core.clone(),
            checker: self.checker.clone(),
            passwords: self.passwords.clone(),
            rate_limits: self.rate_limits.clone(),
            creator: creator.clone(),
            resend: self.resend(),
            code_login: CodeLoginService {
                core: self.core.clone(),
                checker: self.checker.clone(),
                login: self.login(opener),
                creator,
                admission: self.admission(),
                notices: self.notices.clone(),
                dormant_after: self.settings.dormant_after,
            },
            conceal_accounts: self.settings.codes.conceal_accounts,
        }
    }

    fn contacts(&self) -> ContactService {
        ContactService {
            core: self.core.clone(),
            issuer: self.issuer.clone(),
            gate: self.gate.clone(),
            rules: self.settings.registration_rules.clone(),
            checker: self.checker.clone(),
            passwords: self.passwords.clone(),
            rate_limits: self.rate_limits.clone(),
            notices: self.notices.clone(),
            event_log: self.event_log.clone(),
        }
    }

    /// The services whose access tokens say how their session was opened.
    fn gotrue(&self) -> http::GotrueServices {
        let opener = self.opener.clone().with_session_claims();
        http::GotrueServices {
            login: self.login(&opener),
            sessions: self.sessions(&opener),
            codes: AddressCodeService {
                core: self.core.clone(),
                verification: self.verification(&opener),
                contacts: self.contacts(),
                sessions: self.sessions(&opener),
            },
        }
    }

    fn services(&self) -> http::Services {
        let Self { settings, core, issuer, checker, passwords, rate_limits, .. } = self;
        let Self { opener, notices, event_log, gate, .. } = self;
        let core = || core.clone();
        let writer = PasswordWriter { notices: notices.clone(), event_log: event_log.clone() };
        let admission = self.admission();
        http::Services {
            registration: RegistrationService {
                core: core(),
                issuer: issuer.clone(),
                gate: gate.clone(),
                rate_limits: rate_limits.clone(),
                hasher: passwords.hasher.clone(),
                passwords: passwords.clone(),
                notices: notices.clone(),
                event_log: event_log.clone(),
                admission: admission.clone(),
                ttl: settings.registrations_ttl,
            },
            verification: self.verification(opener),
            status: StatusService {
                core: core(),
                issuer: issuer.clone(),
                budget: settings.limits.wrong_tries_per_destination.clone(),
                watch: self.watch.clone(),
            },
            idempotency: IdempotencyService { core: core(), answers: Arc::clone(&self.answers) },
            code_request: CodeRequestService {
                core: core(),
                issuer: issuer.clone(),
                gate: gate.clone(),
                rate_limits: rate_limits.clone(),
                admission,
            },
            recovery: RecoveryService {
                core: core(),
                checker: checker.clone(),
                passwords: passwords.clone(),
                rate_limits: rate_limits.clone(),
                writer: writer.clone(),
                event_log: event_log.clone(),
                dormant_after: settings.dormant_after,
            },
            contacts: self.contacts(),
            profile: self.profile(writer),
            sessions: self.sessions(opener),
            gotrue: self.gotrue(),
            deliveries: DeliveryService { core: core() },
            readiness: self.readiness.clone(),
            gate: gate.clone(),
            inbox: self.inbox.clone(),
            twilio: settings.notify.twilio().and_then(TwilioCallback::new),
            phone: settings.phone.clone(),
            android_apps: settings.notify.android_apps.clone(),
            brand: settings.notify.templates.brand().to_owned(),
            password_min_length: settings.password_min_length,
            login: self.login(opener),
            resend: self.resend(),
        }
    }
}

/// The stores of all that ends by itself: in Redis, or in memory.
fn short_lived(
    redis: Option<&RedisClient>,
    memory_bound: usize,
) -> (Arc<dyn CodeStore>, Arc<dyn Limiter>, Arc<dyn AnswerStore>) {
    match redis {
        Some(redis) => (
            Arc::new(RedisCodes::new(redis.clone())),
            Arc::new(RedisLimits::new(redis.clone())),
            Arc::new(RedisAnswers::new(redis.clone())),
        ),
        None => (
            Arc::new(MemoryCodes::new(memory_bound)),
            Arc::new(MemoryLimits::new(memory_bound)),
            Arc::new(MemoryAnswers::new(ANSWERS_BOUND)),
        ),
    }
}

fn password_checker(settings: &Settings, core: Core, rate_limits: RateLimits, event_log: EventLog) -> PasswordChecker {
    let hashes_at_once = std::thread::available_parallelism().map_or(1, usize::from);
    PasswordChecker {
        core,
        rate_limits,
        hasher: Hasher::new(settings.hashing, hashes_at_once),
        event_log,
        fresh_for: settings.sessions.fresh_for,
        conceal_accounts: settings.codes.conceal_accounts,
    }
}

fn send_gate(
    settings: &Settings,
    core: Core,
    rate_limits: RateLimits,
    guard: PumpingGuard,
    codes: Arc<dyn CodeStore>,
) -> SendGate {
    let abuse = &settings.abuse;
    let puzzles = match &abuse.site_verify {
        Some(provider) => PuzzleMaster::SiteVerify(provider.clone()),
        None => PuzzleMaster::ProofOfWork(ProofOfWork {
            keyring: core.keyring.clone(),
            random: Arc::clone(&core.random),
            cost: abuse.pow_cost,
        }),
    };
    SendGate { core, rate_limits, guard, codes, mode: abuse.challenge, puzzles, trusts_loopback: abuse.trusts_loopback }
}
