//! A server of a test's own, in the test's process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use enroll::{
    app::{Application, Environment},
    config::{Settings, Sources},
    domain::{Clock as _, MovableClock, OsRandom},
    store::Store,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    Answer, Backend,
    backend::{Database, RawConnection, all_rows, redis_url, unique},
    secrets::{self, Secrets},
};

/// A server of this test's own.
pub struct TestApp {
    pub application: Application,
    pub clock: Arc<MovableClock>,
    pub base: String,
    pub http: reqwest::Client,
    secrets: Secrets,
    environment: BTreeMap<String, String>,
    namespace: String,
    memory_bound: usize,
    database: Option<Arc<Database>>,
    dir: Arc<tempfile::TempDir>,
}

/// How a test's server differs from the default.
#[derive(Clone, Default)]
pub struct Options {
    settings: Vec<(&'static str, String)>,
    memory_bound: Option<usize>,
}

impl Options {
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.settings.push((name, value.to_string()));
        self
    }

    /// What is kept in memory has room for so many.
    pub fn with_memory_for(self, bound: usize) -> Self {
        Self { memory_bound: Some(bound), ..self }
    }

    /// Nothing is limited but a code's own tries.
    pub fn unlimited() -> Self {
        Self::default()
            .with("ENROLL__LIMITS__ENABLED", false)
            .with("ENROLL__ABUSE__GUARD", "off")
            .with("ENROLL__CODES__RESEND_AFTER", 0)
    }
}

/// A registration as its client knows it.
#[derive(Debug, Clone)]
pub struct PendingRegistration {
    pub body: Value,
    pub user_id: String,
    pub verification_id: String,
    pub otp: String,
}

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl TestApp {
    pub async fn start(backend: Backend) -> Self {
        Self::with(backend, Options::default()).await
    }

    pub async fn with(backend: Backend, options: Options) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let database = Database::create_for(backend).await.map(Arc::new);
        let mut environment: BTreeMap<String, String> = [
            ("ENROLL__SERVER__ADDRESS", "127.0.0.1:0"),
            ("ENROLL__ADMIN__ADDRESS", "off"),
            ("ENROLL__SERVER__TRUSTED_PROXIES", "127.0.0.0/8"),
            ("ENROLL__PASSWORDS__MEMORY_KIB", "64"), // cheap: what is tested is not Argon2
            ("ENROLL__SECRETS__KEY", KEY),
            ("ENROLL__NOTIFY__SMS", "console"),
            ("ENROLL__NOTIFY__EMAIL", "console"),
            ("ENROLL__NOTIFY__INBOX", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        environment.insert("ENROLL__DATA_DIR".into(), dir.path().display().to_string());
        if let Some(database) = &database {
            environment.extend(database.settings());
        }
        if backend.has_redis() {
            environment.insert("REDIS_URL".into(), redis_url());
        }
        for (name, value) in options.settings {
            environment.insert(name.to_owned(), value);
        }
        let memory_bound = options.memory_bound.unwrap_or(Environment::default().memory_bound);
        Self::run(environment, unique("t") + ":", memory_bound, Arc::default(), database, dir).await
    }

    async fn run(
        environment: BTreeMap<String, String>,
        namespace: String,
        memory_bound: usize,
        clock: Arc<MovableClock>,
        database: Option<Arc<Database>>,
        dir: Arc<tempfile::TempDir>,
    ) -> Self {
        let sources = Sources { environment: environment.clone(), ..Sources::default() };
        let settings = Settings::load(&sources).unwrap();
        let around = Environment {
            clock: clock.clone(),
            random: Arc::new(OsRandom),
            redis_namespace: namespace.clone(),
            startup_timeout: Duration::from_secs(5),
            memory_bound,
        };
        secrets::capture_log();
        let application = Application::start(&settings, around).await.unwrap();
        let base = format!("http://{}", application.address);
        // A connection a request: one kept idle may be closed by the server just as it is used again.
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(20)).pool_max_idle_per_host(0).build().unwrap();
        let secrets = Secrets::default();
        Self { application, clock, base, http, secrets, environment, namespace, memory_bound, database, dir }
    }

    /// Another node beside this one: the same database, Redis and clock.
    pub async fn another_node(&self) -> Self {
        let (database, dir) = (self.database.clone(), self.dir.clone());
        Self::run(self.environment.clone(), self.namespace.clone(), self.memory_bound, self.clock.clone(), database, dir).await
    }

    /// The same again, after a stop.
    pub async fn restart(self) -> Self {
        let Self { application, clock, environment, namespace, memory_bound, database, dir, .. } = self;
        application.stop().await;
        Self::run(environment, namespace, memory_bound, clock, database, dir).await
    }

    /// The same again, with one setting changed.
    pub async fn restart_with(self, name: &'static str, value: impl ToString) -> Self {
        self.restart_with_all(&[(name, &value.to_string())]).await
    }

    pub async fn restart_with_all(self, settings: &[(&str, &str)]) -> Self {
        let Self { application, clock, namespace, memory_bound, database, dir, mut environment, .. } = self;
        application.stop().await;
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::run(environment, namespace, memory_bound, clock, database, dir).await
    }

    /// Runs the program beside the server, as an operator would; what it printed, and its exit code.
    pub async fn command(&self, arguments: &[&str]) -> (String, String, i32) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_enroll"));
        command.args(arguments).env_clear().envs(&self.environment).current_dir(self.dir.path());
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(done.stdout), text(done.stderr), done.status.code().unwrap())
    }

    /// Makes accounts out of a CSV file.
    pub async fn import(&self, csv: &str) {
        let file = self.dir.path().join("people.csv");
        std::fs::write(&file, csv).unwrap();
        let (_, errors, code) = self.command(&["users", "import", &file.display().to_string()]).await;
        assert_eq!(code, 0, "{errors}");
    }

    pub fn store(&self) -> &Store {
        &self.application.store
    }

    fn database_url(&self) -> String {
        let embedded = || format!("sqlite://{}", self.dir.path().join("enroll.db").display());
        self.database.as_ref().map_or_else(embedded, |database| database.url.clone())
    }

    pub async fn execute_sql(&self, sql: &'static str) {
        RawConnection::open(&self.database_url()).await.execute(sql).await;
    }

    /// Keeps the server from writing, till it is released.
    pub async fn lock_database(&self) -> RawConnection {
        let mut held = RawConnection::open(&self.database_url()).await;
        let postgres = self.database.is_some();
        held.execute(if postgres { "BEGIN; LOCK TABLE destinations, users" } else { "BEGIN EXCLUSIVE" }).await;
        held
    }

    /// Holds the locks of all destinations, which may be read, till it is released.
    pub async fn hold_destinations(&self) -> RawConnection {
        let mut held = RawConnection::open(&self.database_url()).await;
        let postgres = self.database.is_some();
        held.execute(if postgres { "BEGIN; SELECT * FROM destinations FOR UPDATE" } else { "BEGIN IMMEDIATE" }).await;
        held
    }

    /// The rows in which one of these words stands; all messages, for they are sealed.
    pub async fn rows_that_name(&self, words: &[&str]) -> Vec<String> {
        let rows = all_rows(&self.database_url()).await;
        let names =
            |row: &String| row.starts_with("outbox") || words.iter().any(|word| row.to_lowercase().contains(word));
        rows.into_iter().filter(names).collect()
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn now(&self) -> enroll::domain::Timestamp {
        self.clock.now()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let prefix = if path.starts_with("/auth") || path.starts_with("/users") { "/api/v1" } else { "" };
        self.http.request(method, format!("{}{prefix}{path}", self.base))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// As somebody at another address.
    pub async fn post_from(&self, address: &str, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).header("x-forwarded-for", address).json(&body)).await
    }

    pub async fn basic(&self, path: &str, name: &str, password: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).basic_auth(name, Some(password)).json(&body)).await
    }

    pub async fn me(&self, token: &str) -> Answer {
        self.send(self.request(Method::GET, "/users/me").bearer_auth(token)).await
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        self.secrets.add_request(&request);
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let answer = Answer::read(self.http.execute(request).await.unwrap()).await;
        let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        record_answer(method, path, answer.status, body["code"].as_str().unwrap_or_default());
        self.secrets.add_fields(&serde_json::from_str(&answer.text).unwrap_or_default());
        answer
    }

    /// Registers, and waits for the code.
    pub async fn register(&self, body: Value) -> PendingRegistration {
        let address = fresh_ip();
        let answer = self.post_from(&address, "/auth/register", body.clone()).await.is(202);
        self.pending(body, &answer).await
    }

    pub async fn pending(&self, body: Value, answer: &Value) -> PendingRegistration {
        let verification_id = answer["verification"]["verification_id"].as_str().unwrap().to_owned();
        let otp = self.code(&verification_id, 1).await;
        PendingRegistration { body, user_id: answer["user_id"].as_str().unwrap().to_owned(), verification_id, otp }
    }

    pub async fn verify(&self, pending: &PendingRegistration, otp: &str) -> Answer {
        let body = json!({"verification_id": pending.verification_id, "otp": otp});
        self.post_from(&fresh_ip(), "/auth/verify-otp", body).await
    }

    /// The state of a verification's message, once it is queued no more.
    pub async fn delivery_outcome(&self, verification_id: &str) -> String {
        let started = Instant::now();
        loop {
            let status = self.get(&format!("/auth/verifications/{verification_id}")).await.is(200);
            if status["state"] != "queued" {
                return status["state"].as_str().unwrap().to_owned();
            }
            assert!(started.elapsed() < Duration::from_secs(10), "it is still queued");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The last code of a verification, once so many messages of it were sent.
    pub async fn code(&self, verification_id: &str, messages: usize) -> String {
        let started = Instant::now();
        loop {
            let sent = self.messages(verification_id);
            if sent.len() >= messages {
                return sent[0].clone();
            }
            assert!(started.elapsed() < Duration::from_secs(10), "{} messages of {messages} were sent", sent.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The codes sent for a verification, the newest first.
    pub fn messages(&self, verification_id: &str) -> Vec<String> {
        let inbox = self.application.inbox.as_ref().unwrap().messages(None);
        let of_it =
            inbox.into_iter().filter(|entry| entry.verification_id.is_some_and(|id| id.to_string() == verification_id));
        of_it.filter_map(|entry| entry.otp).collect()
    }

    /// Waits until nothing waits to be sent.
    pub async fn outbox_is_empty(&self) {
        let started = Instant::now();
        while self.store().read().await.unwrap().waiting_messages().await.unwrap().0 > 0 {
            assert!(started.elapsed() < Duration::from_secs(10), "messages still wait");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What every app of this process was asked, and with which status and code it answered.
static RECORDED: Mutex<BTreeSet<(String, String, u16, String)>> = Mutex::new(BTreeSet::new());

pub fn record_answer(method: String, path: String, status: u16, code: &str) {
    RECORDED.lock().unwrap().insert((method, path, status, code.to_owned()));
}

pub fn recorded_answers() -> BTreeSet<(String, String, u16, String)> {
    RECORDED.lock().unwrap().clone()
}

/// An address that no other request comes from; each group has a letter, so that none looks like a code in the log.
pub fn fresh_ip() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("fd00:{:x}:{:x}:1::1", count >> 16, count & 0xffff) // a /48 of its own
}

/// A code that is not this one.
pub fn other_than(otp: &str) -> String {
    let first = if otp.starts_with('9') { '0' } else { '9' };
    format!("{first}{}", &otp[1..])
}
