//! What must be in no log line, at any level: every test that uses a [`TestApp`](super::TestApp)
//! looks for each code, password and token it sent or was sent.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{
        LazyLock, Mutex, Once,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Many stories share this process: the log is all of theirs, and one's port is another's code.
pub static SHARED: AtomicBool = AtomicBool::new(false);

#[derive(Default)]
pub struct Secrets(Mutex<BTreeSet<String>>);

static LOG: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(Mutex::default);

struct Buffer;

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps all that this process logs, other people's code included.
pub fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter: Targets = "debug,enroll=trace".parse().unwrap();
        let layer = tracing_subscriber::fmt::layer().without_time().with_ansi(false).with_writer(|| Buffer);
        let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
    });
}

/// The events that this process published to its log, by type and data.
pub fn logged_events() -> Vec<(String, Value)> {
    let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
    let lines = log.lines().filter(|line| line.contains("enroll::events: event"));
    let event = |line: &str| {
        let fields = line.split(' ').filter_map(|field| field.split_once("=\""));
        let data: serde_json::Map<String, Value> =
            fields.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').into())).collect();
        Some((data.get("kind")?.as_str()?.to_owned(), Value::Object(data)))
    };
    lines.filter_map(event).collect()
}

impl Secrets {
    pub fn add_request(&self, request: &reqwest::Request) {
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        self.add_fields(&body);
        self.add(body["code"].as_str()); // an answer's `code` is an error's name
        // Numbers are told masked.
        let mobile = body["mobile"].as_str().or(body["mobileNumber"].as_str()).or(body["phone"].as_str()).unwrap_or_default();
        let digits: String = mobile.chars().filter(char::is_ascii_digit).collect();
        self.add(digits.get(digits.len().saturating_sub(10)..).filter(|last| last.len() == 10));
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        self.add(authorization.and_then(|value| value.split(' ').nth(1)));
    }

    pub fn add_fields(&self, body: &Value) {
        for field in ["password", "current_password", "new_password", "otp", "token", "access_token", "refresh_token"] {
            self.add(body[field].as_str());
        }
    }

    fn add(&self, secret: Option<&str>) {
        // What is no secret by its length or its kind would be found by chance.
        if let Some(secret) = secret.filter(|secret| secret.len() >= 4 && !secret.contains(' ') || secret.len() > 10) {
            self.0.lock().unwrap().insert(secret.to_owned());
        }
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        if std::thread::panicking() || SHARED.load(Ordering::Relaxed) {
            return;
        }
        let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
        assert!(log.contains("listening"), "the log was kept");
        let words: BTreeSet<&str> = log.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
        for secret in self.0.lock().unwrap().iter() {
            // Ten digits are a mobile's, whatever stands before them.
            let is_code = secret.len() < 10 && secret.bytes().all(|byte| byte.is_ascii_digit());
            let found = if is_code { words.contains(secret.as_str()) } else { log.contains(secret.as_str()) };
            assert!(!found, "the log tells {secret:?}: {:?}", log.lines().find(|line| line.contains(secret.as_str())));
        }
    }
}
