//! The composition root: settings in, a running service out. Only here concrete backends are named.

mod admin;
mod root_key;
mod wiring;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::Instant};
use tokio_util::task::TaskTracker;

pub use self::admin::Operator;
use self::{
    root_key::{keyring, make_private_dir},
    wiring::Base,
};
use crate::{
    config::Settings,
    domain::{Clock, OsRandom, Random, SystemClock},
    engine::Readiness,
    http::{self, HttpServer, ServerLimits},
    notify::{Inbox, Notifiers},
    redis::RedisLink,
    store::{SingleNode, Store},
    workers::{HealthMonitor, Pruning, SingleNodeWatch},
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
    readiness: Readiness,
    stop_http: watch::Sender<bool>,
    stop_workers: watch::Sender<bool>,
    http: JoinSet<()>,
    workers: JoinSet<()>,
    /// Requests whose body was read; they run to their end.
    requests: TaskTracker,
}

/// Of the ten seconds that stopping may take, what requests get.
const GRACE: Duration = Duration::from_secs(7);

/// Opens the database, waiting for it, and brings its schema up to date.
pub async fn open_store(settings: &Settings, patience: Duration) -> anyhow::Result<Store> {
    open_store_until(settings, Instant::now() + patience).await
}

async fn open_store_until(settings: &Settings, until: Instant) -> anyhow::Result<Store> {
    if settings.store.url.starts_with("sqlite:") {
        make_private_dir(&settings.data_dir)?;
    }
    let store = Store::open(&settings.store, true).context("DATABASE_URL")?;
    wait_for("sql", until, || async { store.read().await.map(drop) }).await?;
    store.migrate().await.context("the database's schema can't be brought up to date")?;
    Ok(store)
}

/// What only brings the database up to date, and makes what a first start would.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let store = open_store(settings, Surroundings::default().patience).await?;
    keyring(settings, &store, &OsRandom, true).await?;
    store.close().await;
    Ok(())
}

/// What operators' commands use: a database and a key that are there.
pub async fn admin_services(settings: &Settings) -> anyhow::Result<Operator> {
    let store = Store::open(&settings.store, false)?;
    store.read().await.map(drop).with_context(|| format!("{} can't be opened", settings.shown_database()))?;
    let keyring = keyring(settings, &store, &OsRandom, false).await?;
    Ok(Operator::new(settings, store, keyring))
}

/// The providers alone, to try them.
pub fn notifiers(settings: &Settings) -> Notifiers {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    wiring::notifiers(settings, &clock, None)
}

/// Opens Redis, where one is set, without connecting.
pub fn open_redis(settings: &Settings, namespace: &str) -> anyhow::Result<Option<RedisLink>> {
    let open = |address| RedisLink::open(address, settings.redis_timeout, namespace).context("REDIS_URL");
    settings.redis.as_ref().map(open).transpose()
}

impl Running {
    /// Starts everything; returns once requests are taken.
    pub async fn start(settings: &Settings, around: Surroundings) -> anyhow::Result<Self> {
        let Surroundings { clock, random, redis_namespace, patience } = around;
        for remark in settings.remarks() {
            tracing::warn!("{remark}");
        }
        let until = Instant::now() + patience;
        let store = open_store_until(settings, until).await?;
        let redis = open_redis(settings, &redis_namespace)?;
        if let Some(redis) = &redis {
            wait_for("redis", until, || redis.ping()).await?;
        }
        let single_node = if redis.is_none() { Some(only_node(&store).await?) } else { None };
        let keyring = keyring(settings, &store, &*random, true).await?;
        let listener = TcpListener::bind(settings.server.address).await;
        let listener = listener.with_context(|| format!("can't listen on {}", settings.server.address))?;
        let address = listener.local_addr()?;

        let readiness = Readiness::new(store.clone(), redis.clone(), Arc::clone(&clock));
        let inbox = settings.notify.inbox.then(|| Arc::new(Inbox::new(Arc::clone(&clock))));
        let base = Base { store: store.clone(), redis, keyring, clock, random, inbox };
        let requests = TaskTracker::new();
        let (stop_http, stop_workers) = (watch::Sender::new(false), watch::Sender::new(false));
        let (parts, work) = base.build(settings, readiness.clone());
        let inbox = parts.inbox.clone();
        let server = HttpServer {
            listener,
            router: http::router(parts, &settings.server, &requests),
            limits: ServerLimits {
                header_timeout: settings.server.header_timeout,
                max_connections: settings.server.max_connections,
            },
        };
        let mut workers = JoinSet::new();
        let pruning = Pruning { store: store.clone(), clock: Arc::clone(&work.delivery.clock) };
        workers.spawn(pruning.run(stop_workers.subscribe()));
        workers.spawn(work.delivery.run(stop_workers.subscribe()));
        workers.spawn(work.publishing.run(stop_workers.subscribe()));
        workers.spawn(work.failures.run(stop_workers.subscribe()));
        workers.spawn(HealthMonitor(readiness.clone()).run(stop_workers.subscribe()));
        if let Some(single_node) = single_node {
            workers.spawn(SingleNodeWatch(single_node).run(stop_workers.subscribe()));
        }
        let mut http = JoinSet::new();
        http.spawn(server.run(stop_http.subscribe(), GRACE));
        tracing::info!(%address, sql = if store.is_embedded() { "sqlite" } else { "postgresql" }, "taking requests");
        Ok(Self { address, inbox, store, readiness, stop_http, stop_workers, http, workers, requests })
    }

    /// Returns when a part of it ended that never should: then nothing is right any more.
    pub async fn broken(&mut self) {
        tokio::select! {
            Some(_) = self.http.join_next() => {}
            Some(_) = self.workers.join_next() => {}
        }
    }

    /// Says so on `/readyz`; requests are still taken.
    pub fn stop_soon(&self) {
        self.readiness.stop_soon();
    }

    /// Takes no more requests, finishes those that run, then the workers.
    pub async fn stop(mut self) {
        self.stop_soon();
        self.stop_http.send_replace(true);
        let finish = async {
            while self.http.join_next().await.is_some() {}
            self.requests.close();
            self.requests.wait().await;
        };
        if tokio::time::timeout(GRACE, finish).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
        self.stop_workers.send_replace(true);
        let finish = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(1), finish).await.is_err() {
            self.workers.shutdown().await; // what they had claimed comes due again
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.store.close()).await;
    }
}

/// The right to be the only node, which codes in memory need.
async fn only_node(store: &Store) -> anyhow::Result<SingleNode> {
    let mut single_node = store.single_node();
    if !single_node.is_ours().await? {
        bail!("another node runs on this database, and without Redis only one may");
    }
    Ok(single_node)
}

/// Tries once a second, saying so, until the part answers or the time has come.
async fn wait_for<E: Into<anyhow::Error>, F: Future<Output = Result<(), E>>>(
    part: &str,
    until: Instant,
    look: impl Fn() -> F,
) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let Err(error) = look().await else { return Ok(()) };
        let error = format!("{:#}", error.into());
        if Instant::now() >= until {
            bail!("{part} can't be reached: {error}");
        }
        tracing::warn!(part, error, "waiting for a part that the service needs");
    }
}
