//! The composition root: settings in, a running service out. Concrete backends are named here only.

mod admin;
mod providers;
mod root_key;
mod wiring;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{net::TcpListener, task::JoinSet, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    root_key::{keyring, make_private_dir},
    wiring::{Engine, Workers},
};
use crate::{
    config::Settings,
    domain::{Clock, JsonObject, OsRandom, Random, SystemClock, Timestamp},
    engine::{Core, Readiness, SessionTurns},
    http::{self, HttpServer},
    metrics,
    notify::Inbox,
    redis::RedisClient,
    store::{NodeLock, Store},
    workers::NodeLockMonitor,
};

pub use admin::{AdminServices, admin_services};
pub use providers::{named_providers, notifiers};
pub use root_key::make_private_file;

/// Clock, randomness, names and bounds, replaceable in tests.
pub struct Environment {
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The source of random bytes.
    pub random: Arc<dyn Random>,
    /// The prefix of every key in Redis.
    pub redis_namespace: String,
    /// How long the start waits for the database and Redis.
    pub startup_timeout: Duration,
    /// How many destinations with codes, and how many counters, are held in memory where there is no Redis.
    pub memory_bound: usize,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(OsRandom),
            redis_namespace: "enroll:".to_owned(),
            startup_timeout: Duration::from_secs(30),
            memory_bound: 100_000,
        }
    }
}

/// A running service.
pub struct Application {
    /// Where it listens.
    pub address: SocketAddr,
    /// The development inbox, if it is on.
    pub inbox: Option<Arc<Inbox>>,
    /// The database.
    pub store: Store,
    readiness: Readiness,
    drain: Duration,
    draining: CancellationToken,
    stop_http: CancellationToken,
    stop_workers: CancellationToken,
    http: JoinSet<()>,
    workers: JoinSet<()>,
    /// Requests whose body was read; they run to their end.
    requests: TaskTracker,
}

/// The advice for a pooler in transaction mode that no setting names.
pub const POOLED: &str = "DATABASE_URL: a pooler in transaction mode answers there; set ENROLL__DATABASE__POOLED=true, \
    and DATABASE_DIRECT_URL to the server itself";
/// How long running requests are waited for, of the ten seconds that stopping may take.
const GRACE: Duration = Duration::from_secs(7);

/// Opens the database, waiting for it, and migrates its schema.
pub async fn open_store(settings: &Settings, timeout: Duration) -> anyhow::Result<Store> {
    open_store_until(settings, Instant::now() + timeout).await
}

async fn open_store_until(settings: &Settings, deadline: Instant) -> anyhow::Result<Store> {
    if settings.store.url.starts_with("sqlite:") {
        make_private_dir(&settings.data_dir)?;
        if let Some(file) = settings.store.file() {
            make_private_file(&file)?;
        }
    }
    let store = Store::open(&settings.store, true).context("DATABASE_URL")?;
    wait_for("sql", deadline, || store.check_connections()).await?;
    if !settings.store.pooled && store.is_behind_transaction_pooler().await? {
        bail!("{POOLED}");
    }
    if !store.read().await?.is_utf8().await? {
        bail!("DATABASE_URL: the database's encoding is not UTF8, so it cannot hold every name; create it anew");
    }
    store.migrate().await.context("the database's schema cannot be migrated")?;
    Ok(store)
}

/// Migrates the database, and generates the root key if a first start would.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let store = open_store(settings, Environment::default().startup_timeout).await?;
    keyring(settings, &store, &OsRandom, true).await?;
    store.close().await;
    Ok(())
}

/// Opens Redis, where it is set, without connecting.
pub fn open_redis(settings: &Settings, namespace: &str) -> anyhow::Result<Option<RedisClient>> {
    let open = |url| RedisClient::open(url, settings.redis_timeout, namespace).context("REDIS_URL");
    settings.redis.as_ref().map(open).transpose()
}

impl Application {
    /// Starts everything; returns once requests are accepted.
    pub async fn start(settings: &Settings, environment: Environment) -> anyhow::Result<Self> {
        for warning in settings.warnings() {
            tracing::warn!("{warning}");
        }
        if settings.hides_inbox() {
            tracing::info!("/dev/inbox is off: it is there only while `console` is the one provider");
        }
        let Environment { clock, random, redis_namespace, startup_timeout, memory_bound } = environment;
        let deadline = Instant::now() + startup_timeout;
        let store = open_store_until(settings, deadline).await?;
        let redis = open_redis(settings, &redis_namespace)?;
        if let Some(redis) = &redis {
            wait_for("redis", deadline, || redis.ping()).await?;
        }
        check_test_identities(settings, &store, clock.now()).await?;
        let node_lock = if redis.is_none() { Some(only_node(&store).await?) } else { None };
        let keyring = keyring(settings, &store, &*random, true).await?;
        let listener = listen("SERVER", settings.server.address).await?;
        let private = match settings.server.admin_address {
            Some(address) => Some(listen("ADMIN", address).await?),
            None => None,
        };

        let core = Core { store, clock, random, keyring, turns: SessionTurns::default() };
        Self::run(settings, core, redis, node_lock, (listener, private), memory_bound)
    }

    fn run(
        settings: &Settings,
        core: Core,
        redis: Option<RedisClient>,
        node_lock: Option<NodeLock>,
        (listener, private): (TcpListener, Option<TcpListener>),
        memory_bound: usize,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let store = core.store.clone();
        let inbox = settings.notify.inbox.then(|| Arc::new(Inbox::new(Arc::clone(&core.clock))));
        if settings.server.admin_address.is_some() {
            metrics::start();
        }
        let draining = CancellationToken::new();
        let engine = Engine::new(settings, core, redis, inbox.clone(), draining.clone(), memory_bound);
        let (readiness, gauges) = (engine.readiness.clone(), engine.gauges());
        let (requests, mut http) = (TaskTracker::new(), JoinSet::new());
        let (stop_http, stop_workers) = (CancellationToken::new(), CancellationToken::new());
        let (services, workers) = engine.build();
        let mut workers = spawn(workers, &stop_workers);
        if let Some(node_lock) = node_lock {
            workers.spawn(NodeLockMonitor(node_lock).run(stop_workers.clone()));
        }
        let router = http::router(services, &settings.server, &requests);
        let private = private.map(|listener| (listener, http::admin_router(readiness.clone(), gauges)));
        for (listener, router) in std::iter::once((listener, router)).chain(private) {
            let server = HttpServer {
                listener,
                router,
                header_timeout: settings.server.header_timeout,
                max_connections: settings.server.max_connections,
                trusted_proxies: settings.server.trusted_proxies.clone(),
                draining: draining.clone(),
            };
            http.spawn(server.run(stop_http.clone(), GRACE));
        }
        tracing::info!(%address, sql = if store.is_embedded() { "sqlite" } else { "postgresql" }, "listening");
        let drain = settings.server.drain;
        Ok(Self { address, inbox, store, readiness, drain, draining, stop_http, stop_workers, http, workers, requests })
    }

    /// Returns when a task ended that never should: the process must be restarted.
    pub async fn failed(&mut self) {
        tokio::select! {
            Some(_) = self.http.join_next() => {}
            Some(_) = self.workers.join_next() => {}
        }
    }

    /// Reports on `/readyz` that no more requests should be sent, and gives load balancers the time to see it: what
    /// comes is still answered, and each connection closes with its next response.
    pub async fn drain(&self) {
        self.readiness.stop_soon();
        self.draining.cancel();
        tokio::time::sleep(self.drain).await;
    }

    /// Accepts no more requests, finishes those that run, then the workers.
    pub async fn stop(mut self) {
        self.readiness.stop_soon();
        self.draining.cancel();
        self.stop_http.cancel();
        let finish = async {
            while self.http.join_next().await.is_some() {}
            self.requests.close();
            self.requests.wait().await;
        };
        if tokio::time::timeout(GRACE, finish).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
        self.stop_workers.cancel();
        let finish = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(1), finish).await.is_err() {
            self.workers.shutdown().await; // the messages they had leased come due again
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.store.close()).await;
    }
}

async fn listen(section: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listening = TcpListener::bind(address).await;
    listening.with_context(|| format!("ENROLL__{section}__ADDRESS: cannot listen on {address}"))
}

fn spawn(workers: Workers, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(workers.pruner.run(stop.clone()));
    tasks.spawn(workers.delivery.run(stop.clone()));
    tasks.spawn(workers.event_relay.run(stop.clone()));
    if let Some(relay) = workers.webhook_relay {
        tasks.spawn(relay.run(stop.clone()));
    }
    tasks.spawn(workers.deferred.run(stop.clone()));
    tasks.spawn(workers.counts.run(stop.clone()));
    tasks.spawn(workers.health.run(stop.clone()));
    tasks.spawn(workers.verifications.run(stop.clone()));
    tasks
}

/// Whoever knows the code of a test identity would have the claims of its account.
async fn check_test_identities(settings: &Settings, store: &Store, now: Timestamp) -> anyhow::Result<()> {
    for address in settings.codes.test_identities.live(now) {
        let account = store.read().await?.user_by_address(address).await?;
        if account.is_some_and(|account| account.claims != JsonObject::default()) {
            bail!("ENROLL__TEST_IDENTITIES: {} belongs to an account with claims", address.masked());
        }
    }
    Ok(())
}

/// The right to be the only node, which codes in memory need.
async fn only_node(store: &Store) -> anyhow::Result<NodeLock> {
    let mut lock = store.node_lock();
    if !lock.acquire().await? {
        bail!("another node runs on this database; without Redis only one may");
    }
    Ok(lock)
}

/// Tries once a second, with a line in the log, until the dependency answers or the deadline has come.
async fn wait_for<E: Into<anyhow::Error>, F: Future<Output = Result<(), E>>>(
    dependency: &str,
    deadline: Instant,
    check: impl Fn() -> F,
) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let Err(error) = check().await else { return Ok(()) };
        let error = format!("{:#}", error.into());
        if Instant::now() >= deadline {
            bail!("{dependency} cannot be reached: {error}");
        }
        tracing::warn!(dependency, error, "waiting for a dependency");
    }
}
