//! The composition root: settings in, a running service out. Only here concrete backends are named.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{
    codes::{CodeStore, MemoryCodes, RedisCodes},
    config::Settings,
    crypto::{Hasher, Keyring, RootKey, Tokens},
    domain::{Clock, OsRandom, Random, SystemClock},
    http::{self, HttpServer, Readiness, ServerLimits},
    limits::{Limiter, MemoryLimits, RedisLimits},
    link::RedisLink,
    notify::{Console, Inbox, Notifiers, Templates},
    services::{
        Credentials, Issuer, RegistrationService, ResendService, Sessions, StatusService, Throttle, VerificationService,
    },
    store::{Connection, Store},
    workers::{Delivery, Health, HealthLoop, Pruning},
};

/// What tests put in the place of the machine's own.
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Before every key in Redis.
    pub redis_namespace: String,
    /// How long a part is waited for at the start.
    pub patience: Duration,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(OsRandom),
            redis_namespace: "enroll:".to_owned(),
            patience: Duration::from_secs(30),
        }
    }
}

/// A service that takes requests.
pub struct Running {
    pub address: SocketAddr,
    pub inbox: Option<Arc<Inbox>>,
    pub store: Store,
    stopping: Arc<AtomicBool>,
    stop_http: watch::Sender<bool>,
    stop_workers: watch::Sender<bool>,
    http: JoinSet<()>,
    workers: JoinSet<()>,
    /// Held as long as this node may be the only one.
    _single_node: Option<Connection>,
}

/// In-memory destinations and counters; beyond it requests are refused, and nothing is forgotten.
const MEMORY_BOUND: usize = 100_000;
/// Of the ten seconds that stopping may take, what requests get.
const GRACE: Duration = Duration::from_secs(8);

struct Ready {
    health: Health,
    stopping: Arc<AtomicBool>,
}

impl Readiness for Ready {
    fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> = self.health.down().iter().map(ToString::to_string).collect();
        missing.extend(self.health.clock_is_off().then(|| "clock".to_owned()));
        missing.extend(self.stopping.load(Ordering::Relaxed).then(|| "stopping".to_owned()));
        missing
    }
}

/// Opens the database, waiting for it, and brings its schema up to date.
pub async fn open_store(settings: &Settings, patience: Duration) -> anyhow::Result<Store> {
    if settings.store.url.starts_with("sqlite:") {
        make_private_dir(&settings.data_dir)?;
    }
    let store = Store::open(&settings.store, true).context("DATABASE_URL")?;
    wait_for("sql", patience, || async { store.read().await.map(drop) }).await?;
    store.migrate().await.context("the database's schema can't be brought up to date")?;
    Ok(store)
}

/// Opens Redis, where one is set, without connecting.
pub fn open_redis(settings: &Settings, namespace: &str) -> anyhow::Result<Option<RedisLink>> {
    let open = |url| RedisLink::open(url, settings.redis_timeout, namespace).context("REDIS_URL");
    settings.redis().map(open).transpose()
}

impl Running {
    /// Starts everything; returns once requests are taken.
    pub async fn start(settings: &Settings, around: Surroundings) -> anyhow::Result<Self> {
        let Surroundings { clock, random, redis_namespace, patience } = around;
        for remark in settings.remarks() {
            tracing::warn!("{remark}");
        }
        let store = open_store(settings, patience).await?;
        let redis = open_redis(settings, &redis_namespace)?;
        if let Some(redis) = &redis {
            wait_for("redis", patience, || redis.ping()).await?;
        }
        let single_node = match &redis {
            None if !store.is_embedded() => {
                let lock = store.lock_single_node().await?;
                Some(lock.context("another node runs on this database, and without Redis only one may")?)
            }
            _ => None,
        };
        let keyring = keyring(settings, &store, &*random).await?;
        let listener = TcpListener::bind(settings.server.address).await;
        let listener = listener.with_context(|| format!("can't listen on {}", settings.server.address))?;
        let address = listener.local_addr()?;

        let stopping = Arc::new(AtomicBool::new(false));
        let health = Health::new(store.clone(), redis.clone(), Arc::clone(&clock));
        let ready = Ready { health: health.clone(), stopping: Arc::clone(&stopping) };
        let inbox = settings.notify.inbox.then(|| Arc::new(Inbox::new(Arc::clone(&clock))));
        let base = Base { store: store.clone(), redis, keyring, clock, random, wake: Arc::default(), inbox };
        let (stop_http, stop_workers) = (watch::Sender::new(false), watch::Sender::new(false));
        let (parts, delivery) = base.build(settings, Arc::new(ready));
        let inbox = parts.inbox.clone();
        let server = HttpServer {
            listener,
            router: http::router(parts, &settings.server),
            limits: ServerLimits {
                header_timeout: settings.server.header_timeout,
                max_connections: settings.server.max_connections,
            },
        };
        let mut workers = JoinSet::new();
        workers
            .spawn(Pruning { store: store.clone(), clock: Arc::clone(&delivery.clock) }.run(stop_workers.subscribe()));
        workers.spawn(delivery.run(stop_workers.subscribe()));
        workers.spawn(HealthLoop(health).run(stop_workers.subscribe()));
        let mut http = JoinSet::new();
        http.spawn(server.run(stop_http.subscribe(), GRACE));
        tracing::info!(%address, sql = if store.is_embedded() { "sqlite" } else { "postgresql" }, "taking requests");
        Ok(Self { address, inbox, store, stopping, stop_http, stop_workers, http, workers, _single_node: single_node })
    }

    /// Says so on `/readyz`; requests are still taken.
    pub fn stop_soon(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Takes no more requests, finishes those that run, then the workers.
    pub async fn stop(mut self) {
        self.stop_soon();
        self.stop_http.send_replace(true);
        while self.http.join_next().await.is_some() {}
        self.stop_workers.send_replace(true);
        let finish = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(1), finish).await.is_err() {
            self.workers.abort_all(); // what they had claimed comes due again
        }
        self.store.close().await;
    }
}

/// What all services are made of.
struct Base {
    store: Store,
    redis: Option<RedisLink>,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    wake: Arc<Notify>,
    inbox: Option<Arc<Inbox>>,
}

impl Base {
    fn build(self, settings: &Settings, readiness: Arc<dyn Readiness>) -> (http::Parts, Delivery) {
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
        let delivery = Delivery {
            store: store.clone(),
            codes: Arc::clone(&codes),
            keyring,
            notifiers: Notifiers { sms: Arc::new(Console), email: Arc::new(Console), inbox: inbox.clone() },
            templates: Templates { brand: settings.notify.brand.clone() },
            clock: Arc::clone(&clock),
            random,
            wake,
        };
        let parts = http::Parts {
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

/// The given root key, else the one of the data directory, made at the first start.
async fn keyring(settings: &Settings, store: &Store, random: &dyn Random) -> anyhow::Result<Keyring> {
    if let Some(keyring) = &settings.keyring {
        return Ok(keyring.clone());
    }
    let path = settings.data_dir.join("root.key");
    let key = match std::fs::read_to_string(&path) {
        Ok(text) => RootKey::from_base64(&text).with_context(|| format!("{} holds no key", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if store.read().await?.has_users().await? {
                bail!(
                    "{} is missing, and the database has users whose tokens and messages need it; \
                     put it back, or set ENROLL__SECRETS__KEY",
                    path.display()
                );
            }
            let key = RootKey::from_bytes(random.bytes());
            write_private(&path, &key.to_base64())?;
            key
        }
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    Ok(Keyring::new(key, Vec::new()))
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

fn make_private_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("the data directory {} can't be made", path.display()))
}

/// Tries once a second, saying so, until the part answers or patience ends.
async fn wait_for<E: std::fmt::Display, F: Future<Output = Result<(), E>>>(
    part: &str,
    patience: Duration,
    look: impl Fn() -> F,
) -> anyhow::Result<()> {
    let started = tokio::time::Instant::now();
    loop {
        let Err(error) = look().await else { return Ok(()) };
        if started.elapsed() >= patience {
            bail!("{part} can't be reached: {error}");
        }
        tracing::warn!(part, %error, "waiting for a part that the service needs");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
