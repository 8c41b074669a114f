//! The start of the program, alone and beside others.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    run::{embedded, run},
    support::{
        Backend,
        backend::{postgres_url, redis_url, unique},
        process::Sandbox,
    },
};

#[tokio::test]
async fn every_prefix_serves_the_api() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir).set("ENROLL__SERVER__PREFIXES", "/api/v1,/v2,/");
    node.start();
    for prefix in ["/api/v1", "/v2", ""] {
        let me = reqwest::get(format!("{}{prefix}/users/me", node.base)).await.unwrap();
        assert_eq!(me.status().as_u16(), 401, "{prefix}");
    }
}

#[tokio::test]
async fn the_development_key_is_made_once_and_missed_when_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir).set("ENROLL__SECRETS__KEY", "");
    node.start();
    let key = dir.path().join("root.key");
    let made = std::fs::read_to_string(&key).unwrap();
    let post = async |path: &str, body: Value| node.call(Method::POST, path, None, body).await.is_success();
    let registered = post("/auth/register", json!({"mobile": "9876543210", "password": "correct horse"})).await;
    let otp = node.code("+919876543210", 1).await;
    post("/auth/verify-otp", json!({"verification_id": registered["verification"]["verification_id"], "otp": otp}))
        .await;
    node.terminate();
    node.start();
    assert_eq!(std::fs::read_to_string(&key).unwrap(), made);
    node.terminate();
    std::fs::remove_file(&key).unwrap();
    let (code, _, errors) = run(&node, &["serve"]);
    assert_eq!(code, 1);
    assert!(errors.contains("root.key is missing"), "{errors}");
}

#[tokio::test]
async fn a_single_node_keeps_a_second_out_fleet() {
    let sandbox = Sandbox { redis: None, ..Sandbox::new(Backend::Fleet).await };
    let mut first = sandbox.node().set("ENROLL__SERVER__SINGLE_NODE", "true");
    first.start();
    let mut second = sandbox.node().set("ENROLL__SERVER__SINGLE_NODE", "true");
    let (code, _, errors) = run(&second, &["serve"]);
    assert_eq!(code, 1);
    assert!(errors.contains("another node runs on this database"), "{errors}");
    let (took, code) = first.terminate();
    assert_eq!(code, Some(0));
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    second.start();
}

#[test]
fn a_second_server_on_the_same_file_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = embedded(&dir);
    first.start();
    let (code, _, errors) = run(&embedded(&dir), &["serve"]);
    assert_eq!(code, 1);
    assert!(errors.contains("another node runs on this database"), "{errors}");
}

#[tokio::test]
async fn two_nodes_start_at_once_on_an_empty_database_fleet() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let (mut one, mut two) = (sandbox.node(), sandbox.node());
    std::thread::scope(|scope| {
        scope.spawn(|| one.start());
        scope.spawn(|| two.start());
    });
    for node in [&one, &two] {
        let ready = reqwest::get(format!("{}/readyz", node.base)).await.unwrap();
        assert_eq!(ready.status().as_u16(), 200);
    }
    let (code, _, errors) = run(&one, &["migrate"]);
    assert_eq!(code, 0, "{errors}");
}

#[test]
fn the_files_of_a_database_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut node = embedded(&dir);
    node.start();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
    let log = node.log.all();
    assert!(log.iter().any(|line| line.contains("open to others")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains('\u{1b}')), "colours are for terminals");
}

#[test]
fn another_root_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = |text: &str| run(&embedded(&dir), &[text, "generate"]).1.trim().to_owned();
    let (first, second) = (key("keys"), key("keys"));
    let node = |key: &str, previous: &str| {
        embedded(&dir).set("ENROLL__SECRETS__KEY", key).set("ENROLL__SECRETS__PREVIOUS_KEYS", previous)
    };
    assert_eq!(run(&node(&first, ""), &["migrate"]).0, 0);
    let create = ["users", "create", "--mobile", "9876543210"];
    for command in [&["migrate"][..], &["serve"], &create] {
        let (code, _, errors) = run(&node(&second, ""), command);
        assert_eq!((code, errors.contains("root key")), (1, true), "{command:?}: {errors}");
    }
    // Rotated in three steps, it is known.
    for (key, previous) in [(&first, second.as_str()), (&second, &first), (&second, "")] {
        let (code, _, errors) = run(&node(key, previous), &["migrate"]);
        assert_eq!(code, 0, "{errors}");
    }
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused_fleet() {
    use sqlx::{Connection as _, Executor as _};
    let (dir, name) = (tempfile::tempdir().unwrap(), unique("enroll_test"));
    let mut admin = sqlx::PgConnection::connect(&postgres_url()).await.unwrap();
    let create = format!("CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    admin.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    let url = postgres_url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let node = embedded(&dir).set("DATABASE_URL", &format!("{server}/{name}")).set("REDIS_URL", &redis_url());
    let (code, _, errors) = run(&node, &["migrate"]);
    admin.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
    assert_eq!((code, errors.contains("UTF8")), (1, true), "{errors}");
}

/// The log of a node after a failed login from 203.0.113.7, a line a JSON object.
async fn log_after_a_failed_login(addresses: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir).set("ENROLL__LOG__ADDRESSES", addresses).set("RUST_LOG", "info");
    node.start();
    let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).build().unwrap();
    let login = http.post(format!("{}/api/v1/auth/login", node.base)).header("x-forwarded-for", "203.0.113.7");
    login.json(&json!({"email": "ann@example.com", "password": "correct horse"})).send().await.unwrap();
    http.get(format!("{}/livez", node.base)).send().await.unwrap();
    let started = std::time::Instant::now();
    loop {
        let lines: Vec<Value> = node.log.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.iter().any(|line| line["kind"] == "login.failed") {
            return lines;
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "{lines:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_log_says_where_a_request_came_from() {
    for (addresses, shown) in [("full", "203.0.113.7"), ("network", "203.0.113.0/24")] {
        let lines = log_after_a_failed_login(addresses).await;
        let response = lines.iter().find(|line| line["message"] == "response").unwrap();
        assert_eq!(response["span"]["client"], shown, "{response}");
        let failed = lines.iter().find(|line| line["kind"] == "login.failed").unwrap();
        assert_eq!((&failed["client"], &failed["method"]), (&shown.into(), &"password".into()), "{failed}");
        let is_noise = |line: &Value| line["span"]["route"] == "/livez";
        assert!(!lines.iter().any(is_noise), "health is asked for each second");
    }
}

#[test]
fn a_port_that_is_taken_names_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for setting in ["ENROLL__SERVER__ADDRESS", "ENROLL__ADMIN__ADDRESS"] {
        let dir = tempfile::tempdir().unwrap();
        let (code, _, errors) = run(&embedded(&dir).set(setting, &address), &["serve"]);
        assert!(code == 1 && errors.contains(setting), "{errors}");
    }
}

#[tokio::test]
async fn through_a_pipe_it_says_where_to_look() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir);
    node.start();
    let started = std::time::Instant::now();
    while !node.console.all().iter().any(|line| line.contains("/docs")) {
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", node.console.all());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Where every mapping gets them unasked, it takes none but the two that are made before it can refuse them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hash_has_huge_pages_where_memory_may_ask_for_them() {
    let Ok(modes) = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir).set("ENROLL__PASSWORDS__MEMORY_KIB", "65536");
    node.start();
    let huge_kib = || {
        let memory = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", node.pid())).unwrap();
        let line = memory.lines().find(|line| line.starts_with("AnonHugePages:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u32>().unwrap()
    };
    let at_rest = huge_kib();
    assert!(at_rest <= if modes.contains("[always]") { 4_096 } else { 0 }, "{at_rest}");
    let body = json!({"mobile": "9876543210", "password": "correct horse"});
    node.call(Method::POST, "/auth/register", None, body).await.is(202);
    assert_eq!(huge_kib() > at_rest, modes.contains("[madvise]"), "{modes}");
}
