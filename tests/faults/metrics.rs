//! What operators watch: a real Prometheus scrapes a node by the rules of `deploy/prometheus`, and an alert fires.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Backend,
    process::{Node, Sandbox},
    servers::{Breakable as _, OwnRedis, ProcessGroup, free_port, wait_for_port},
};

async fn scrape(admin: u16) -> String {
    reqwest::get(format!("http://127.0.0.1:{admin}/metrics")).await.unwrap().text().await.unwrap()
}

/// The value of the series that begins so.
fn value(scraped: &str, series: &str) -> f64 {
    let line = scraped.lines().find(|line| line.starts_with(series));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("{series}: {scraped}"))
}

async fn register(node: &Node, mobile: &str) -> Value {
    let body = json!({"mobile": mobile, "password": "correct horse"});
    node.call(Method::POST, "/auth/register", None, body).await.is(202)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_measures_what_it_does_and_names_nobody() {
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let admin = free_port();
    let mut node = sandbox.node().set("ENROLL__ADMIN__ADDRESS", &format!("127.0.0.1:{admin}"));
    node.start();
    let pending = register(&node, "9876543210").await;
    let verify = async |otp: &str| {
        let body = json!({"otp": otp, "verification_id": pending["verification"]["verification_id"]});
        node.call(Method::POST, "/auth/verify-otp", None, body).await
    };
    let code = node.code("+919876543210", 1).await;
    verify(if code == "000000" { "111111" } else { "000000" }).await.is(400);
    verify(&code).await.is(200);
    node.call(Method::POST, "/auth/register", None, json!({"mobile": "9876543210", "password": "x"})).await.is(422);
    for n in 0..6 {
        let body = json!({"mobile": format!("987654320{n}"), "password": "correct horse"});
        node.call(Method::POST, "/auth/register", None, body).await;
    }
    reqwest::get(format!("{}/no/such/path/9876543210", node.base)).await.unwrap();

    let invented = Method::from_bytes(b"INVENTED").unwrap();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    http.request(invented, format!("{}/livez", node.base)).send().await.unwrap();

    let scraped = scrape(admin).await;
    assert!(scraped.contains("method=\"other\"") && !scraped.contains("INVENTED"), "{scraped}");
    for (series, expected) in [
        ("enroll_codes_total{purpose=\"registration\",channel=\"sms\",outcome=\"verified\"}", 1.0),
        ("enroll_codes_total{purpose=\"registration\",channel=\"sms\",outcome=\"wrong\"}", 1.0),
        ("enroll_http_requests_total{method=\"POST\",route=\"/api/v1/auth/register\",status=\"422\"}", 1.0),
        ("enroll_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"}", 1.0),
        ("enroll_dependency_up{dependency=\"sql\"}", 1.0),
        ("enroll_outbox_messages", 0.0),
        ("enroll_database_connections{state=\"most\"}", 8.0),
    ] {
        assert!((value(&scraped, series) - expected).abs() < f64::EPSILON, "{series}: {scraped}");
    }
    assert!(value(&scraped, "enroll_deliveries_total{provider=\"console\",country=\"IN\",outcome=\"accepted\"}") >= 1.0);
    assert!(value(&scraped, "enroll_limits_exceeded_total{policy=\"client-sends\"}") >= 1.0);
    assert!(value(&scraped, "enroll_http_request_duration_seconds_count{method=\"POST\"") >= 1.0);
    assert!(!scraped.contains("98765"), "no address in a label: {scraped}");

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(scraped.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let public = reqwest::get(format!("{}/metrics", node.base)).await.unwrap();
    assert_eq!(public.status(), 404, "on the private listener alone");
}

/// A Prometheus that scrapes one node each second, with the rules of `deploy`.
struct OwnPrometheus {
    port: u16,
    _dir: tempfile::TempDir,
    _process: ProcessGroup,
}

impl OwnPrometheus {
    fn launch(admin: u16) -> Self {
        let (port, dir, mut process) = (free_port(), tempfile::tempdir().unwrap(), ProcessGroup::default());
        let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");
        let config = std::fs::read_to_string(format!("{deploy}/prometheus.yml")).unwrap();
        let config = config
            .replace("_interval: 15s", "_interval: 1s")
            .replace("[alerts.yml]", &format!("[{deploy}/alerts.yml]"))
            .replace("app:9000", &format!("127.0.0.1:{admin}"));
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(dir.path());
        process.start(&mut command);
        wait_for_port(port);
        Self { port, _dir: dir, _process: process }
    }

    /// The names of the alerts that fire.
    async fn firing(&self) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}/api/v1/alerts", self.port);
        let answer: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let fires = alerts.iter().filter(|alert| alert["state"] == "firing");
        fires.map(|alert| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn until(&self, fires: bool) {
        let started = Instant::now();
        while self.firing().await.contains(&"EnrollDependencyDown".to_owned()) != fires {
            assert!(started.elapsed() < Duration::from_secs(40), "it should fire: {fires}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_fires_while_redis_is_stopped() {
    let sandbox = Sandbox::new(Backend::SqliteRedis).await;
    let (admin, mut redis) = (free_port(), OwnRedis::launch());
    let address = format!("127.0.0.1:{admin}");
    let mut node = sandbox.node().set("REDIS_URL", &redis.url()).set("ENROLL__ADMIN__ADDRESS", &address);
    node.start();
    register(&node, "9876543210").await;
    let prometheus = OwnPrometheus::launch(admin);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(prometheus.firing().await, Vec::<String>::new(), "all is well");
    redis.kill();
    prometheus.until(true).await;
    redis.start();
    prometheus.until(false).await;
}
