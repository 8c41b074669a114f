//! The built program as a process, to be killed and started again.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;

use super::{
    Answer, Backend,
    backend::Database,
    servers::{OwnRedis, free_port, signal, wait_for_port},
};

/// A node that runs as its own process; what it prints is kept over restarts.
pub struct Node {
    pub base: String,
    http: reqwest::Client,
    port: u16,
    environment: BTreeMap<String, String>,
    /// What `/etc/hosts` is for it.
    hosts: Option<PathBuf>,
    child: Option<Child>,
    pub console: Lines,
    pub log: Lines,
}

/// Lines that a process printed.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn follow(&self, from: impl Read + Send + 'static) {
        let lines = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                lines.0.lock().unwrap().push(line);
            }
        });
    }
}

/// A process that listens to events.
pub struct EventConsumer {
    heard: Lines,
    child: Child,
}

impl EventConsumer {
    pub fn events(&self) -> Vec<Value> {
        self.heard.all().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub async fn wait_for(&self, count: usize) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let events = self.events();
            if events.len() >= count {
                return events;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{} of {count}: {events:#?}", events.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for EventConsumer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a node of a backend stands on; nobody else's Redis is touched.
pub struct Sandbox {
    pub redis: Option<OwnRedis>,
    pub database: Option<Database>,
    pub dir: tempfile::TempDir,
}

impl Sandbox {
    pub async fn new(backend: Backend) -> Self {
        Self {
            redis: backend.has_redis().then(OwnRedis::launch),
            database: Database::create_for(backend).await,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn database_url(&self) -> String {
        let embedded = format!("sqlite://{}", self.dir.path().join("enroll.db").display());
        self.database.as_ref().map_or(embedded, |database| database.url.clone())
    }

    pub fn node(&self) -> Node {
        let mut node = Node::new(&self.database_url()).set("ENROLL__DATA_DIR", &self.dir.path().display().to_string());
        for (name, value) in self.database.iter().flat_map(Database::settings) {
            node = node.set(&name, &value);
        }
        if let Some(redis) = &self.redis {
            node = node.set("REDIS_URL", &redis.url());
        }
        node
    }
}

pub const ROOT_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl Node {
    pub fn new(database_url: &str) -> Self {
        let port = free_port();
        let node = Self {
            base: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap(),
            port,
            environment: BTreeMap::new(),
            hosts: None,
            child: None,
            console: Lines::default(),
            log: Lines::default(),
        };
        node.set("DATABASE_URL", database_url)
            .set("ENROLL__SERVER__ADDRESS", &format!("127.0.0.1:{port}"))
            .set("ENROLL__ADMIN__ADDRESS", "off")
            .set("ENROLL__SERVER__TRUSTED_PROXIES", "127.0.0.0/8")
            .set("ENROLL__PASSWORDS__MEMORY_KIB", "64")
            .set("ENROLL__SECRETS__KEY", ROOT_KEY)
            .set("ENROLL__NOTIFY__SMS", "console")
            .set("ENROLL__NOTIFY__EMAIL", "console")
            .set("RUST_LOG", "debug")
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn unlimited(self) -> Self {
        self.set("ENROLL__LIMITS__ENABLED", "false").set("ENROLL__ABUSE__GUARD", "off").set("ENROLL__CODES__RESEND_AFTER", "0")
    }

    /// It alone sees these hosts, in a name space of mounts of its own.
    pub fn with_hosts(mut self, file: &Path) -> Self {
        self.hosts = Some(file.to_owned());
        self
    }

    /// Starts it and waits until it takes requests.
    pub fn start(&mut self) {
        self.spawn(Stdio::piped());
        wait_for_port(self.port);
    }

    /// Starts it where every message fails: nothing can be written to `/dev/full`.
    pub fn start_mute(&mut self) {
        self.spawn(File::options().write(true).open("/dev/full").unwrap().into());
        wait_for_port(self.port);
    }

    fn spawn(&mut self, stdout: Stdio) {
        let mut child = self.command(&["serve"]).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(out) = child.stdout.take() {
            self.console.follow(out);
        }
        self.log.follow(child.stderr.take().unwrap());
        self.child = Some(child);
    }

    /// The program with this node's settings and no others.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_enroll");
        let mut command = match &self.hosts {
            None => Command::new(program),
            Some(hosts) => {
                let mount = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
                let mut command = Command::new("unshare");
                command.args(["--mount", "--map-root-user", "sh", "-c", mount]).arg(hosts).arg(program);
                command
            }
        };
        command.args(arguments).env_clear().envs(&self.environment).current_dir(std::env::temp_dir());
        command
    }

    /// A call of the API.
    pub async fn call(&self, method: Method, path: &str, token: Option<&Value>, body: Value) -> Answer {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.base)).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token.as_str().unwrap());
        }
        Answer::read(request.send().await.unwrap()).await
    }

    /// `consume-events` with this node's settings; returns once it listens.
    pub async fn consume_events(&self, queue: &str, more: &[&str]) -> EventConsumer {
        let mut command = self.command(&[&["consume-events", "--queue", queue], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (heard, log) = (Lines::default(), Lines::default());
        heard.follow(child.stdout.take().unwrap());
        log.follow(child.stderr.take().unwrap());
        let started = Instant::now();
        while !log.all().iter().any(|line| line.contains("listening")) {
            assert!(started.elapsed() < Duration::from_secs(20), "{:#?}", log.all());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        EventConsumer { heard, child }
    }

    /// kill -9
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Asks it to stop; how long it took, and its exit code.
    pub fn terminate(&mut self) -> (Duration, Option<i32>) {
        let started = Instant::now();
        let mut child = self.child.take().unwrap();
        signal("TERM", child.id());
        let code = child.wait().unwrap().code();
        (started.elapsed(), code)
    }

    /// The code last printed for an address, once there are so many.
    pub async fn code(&self, to: &str, messages: usize) -> String {
        let started = Instant::now();
        loop {
            let codes = self.codes(to);
            if codes.len() >= messages {
                return codes.last().unwrap().clone();
            }
            let log = || self.log.all().join("\n");
            assert!(started.elapsed() < Duration::from_secs(30), "{} of {messages} messages to {to}:\n{}", codes.len(), log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every code printed for an address, in order.
    pub fn codes(&self, to: &str) -> Vec<String> {
        let of_it = format!(" to {to}: ");
        let lines = self.console.all().into_iter().filter(|line| line.contains(&of_it));
        lines.filter_map(|line| Some(line.split(": ").find_map(first_digits)?.to_owned())).collect()
    }
}

/// `123456` of `123456 is your code`.
fn first_digits(text: &str) -> Option<&str> {
    let digits = text.split(' ').next()?;
    let is_code = digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then_some(digits)
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
