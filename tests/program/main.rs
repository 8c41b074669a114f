//! The program as a person meets it: the README's story, the commands, the settings.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::wrong_self_convention,
    clippy::needless_pass_by_value,
    clippy::allow_attributes,
    reason = "the support is shared, and a helper that fails fails its test"
)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

use std::process::{Command, Output};

use enroll::config::Settings;
use serde_json::{Value, json};
use support::{
    Backend,
    process::{Ground, Node},
    servers::OwnRedis,
};

stories!(the_readmes_story_works_as_it_stands);

async fn the_readmes_story_works_as_it_stands(backend: Backend) {
    let ground = Ground::new(backend).await;
    let mut node = ground.node().set("ENROLL__NOTIFY__INBOX", "true");
    node.start();
    let readme = include_str!("../../README.md");
    let block = readme.split("<!-- a test runs this block as it stands -->\n```sh\n").nth(1).unwrap();
    let story = block.split("\n```").next().unwrap();
    let told = Command::new("bash").args(["-euo", "pipefail", "-c", story]).env("URL", &node.base).output().unwrap();
    assert!(told.status.success(), "{}", text(&told));
    let out = String::from_utf8(told.stdout).unwrap();
    let (registered, me) = out.split_at(out.find("}}").unwrap() + 2);
    let registered: Value = serde_json::from_str(registered).unwrap();
    let me: Value = serde_json::from_str(me).unwrap();
    assert_eq!(registered["status"], "pending");
    assert_eq!((&me["mobile"], &me["is_active"]), (&json!("+919876543210"), &json!(true)));
    assert_eq!(me["id"], registered["user_id"]);
}

fn text(output: &Output) -> String {
    format!("{output:?}")
}

fn run(node: &Node, arguments: &[&str]) -> (i32, String, String) {
    let done = node.command(arguments).output().unwrap();
    let words = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), words(done.stdout), words(done.stderr))
}

fn embedded(dir: &tempfile::TempDir) -> Node {
    Node::new(&format!("sqlite://{}", dir.path().join("enroll.db").display()))
        .set("ENROLL__DATA_DIR", &dir.path().display().to_string())
}

#[test]
fn every_setting_is_in_env_example() {
    let example = include_str!("../../.env.example");
    for name in Settings::names() {
        let variable = match name {
            plain @ ("database_url" | "redis_url" | "amqp_url" | "rust_log") => plain.to_uppercase(),
            other => format!("ENROLL__{}", other.replace('.', "__").to_uppercase()),
        };
        assert!(example.lines().any(|line| line.starts_with(&format!("#{variable}="))), "{variable}");
    }
    let commented =
        example.lines().filter(|line| line.starts_with('#') && line.contains('=') && !line.starts_with("# "));
    assert_eq!(commented.count(), Settings::names().len(), "and nothing else is");
}

#[test]
fn env_example_uncommented_is_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let example = include_str!("../../.env.example").lines();
    let settings: Vec<&str> = example
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' ') && line.contains('='))
        .collect();
    std::fs::write(dir.path().join(".env"), settings.join("\n")).unwrap();
    let checked =
        Command::new(env!("CARGO_BIN_EXE_enroll")).arg("check-config").env_clear().current_dir(dir.path()).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
}

#[test]
fn wrong_settings_stop_the_start_and_are_all_named() {
    let dir = tempfile::tempdir().unwrap();
    let node = embedded(&dir).set("ENROLL__SERVER__PORT", "1").set("ENROLL__CODES__RESEND_AFTER", "soon");
    for command in [&["serve"][..], &["check-config"], &["migrate"], &[]] {
        let (code, _, errors) = run(&node, command);
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains("ENROLL__SERVER__PORT: is no setting of ours"), "{errors}");
        assert!(errors.contains("ENROLL__CODES__RESEND_AFTER: is not a whole number"), "{errors}");
        assert_eq!(errors.lines().count(), 2, "{errors}");
    }
    let (code, ..) = run(&node, &["no-such-command"]);
    assert_eq!(code, 2);
}

#[test]
fn a_root_key_is_printed_and_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (code, key, _) = run(&embedded(&dir), &["keys", "generate"]);
    assert_eq!(code, 0);
    assert_ne!(run(&embedded(&dir), &["keys", "generate"]).1, key);
    let (code, out, errors) = run(&embedded(&dir).set("ENROLL__SECRETS__KEY", key.trim()), &["check-config"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(out.lines().last(), Some("the settings are good"));
}

#[test]
fn check_config_tells_what_cant_be_reached_redis() {
    let dir = tempfile::tempdir().unwrap();
    let unreachable = Node::new("postgres://somebody:hunter2@127.0.0.1:1/none").set("REDIS_URL", "redis://127.0.0.1:1");
    let (code, out, _) = run(&unreachable, &["check-config"]);
    assert_eq!(code, 1);
    assert!(out.contains("DATABASE_URL: postgres://***@127.0.0.1:1/none can't be reached"), "{out}");
    assert!(out.contains("REDIS_URL: "), "{out}");
    assert!(!out.contains("hunter2"), "{out}");

    let redis = OwnRedis::launch();
    std::process::Command::new("redis-cli")
        .args(["-p", &redis.port.to_string(), "config", "set", "maxmemory-policy", "allkeys-lru"])
        .output()
        .unwrap();
    let (code, out, _) = run(&embedded(&dir).set("REDIS_URL", &redis.url()), &["check-config"]);
    assert_eq!(code, 0);
    assert!(out.contains("remark: Redis may evict"), "{out}");
}

#[test]
fn the_openapi_document_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = run(&embedded(&dir).set("ENROLL__SERVER__PREFIXES", "/v2,/"), &["openapi"]);
    assert_eq!(code, 0);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert!(document["paths"]["/v2/auth/register"].is_object(), "the first prefix is the documented one");
}

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
async fn lift_works_beside_a_running_server_and_makes_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir);
    let (code, _, errors) = run(&node, &["limits", "lift", "+919876543210"]);
    assert_eq!(code, 1);
    assert!(errors.contains("enroll.db"), "it names the path: {errors}");
    assert!(!dir.path().join("enroll.db").exists());

    node.start();
    let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).build().unwrap();
    let register = async || {
        let body = json!({"mobile": "9876543210", "password": "correct horse"});
        http.post(format!("{}/api/v1/auth/register", node.base))
            .json(&body)
            .send()
            .await
            .unwrap()
            .json::<Value>()
            .await
            .unwrap()
    };
    let id = register().await["verification"]["verification_id"].clone();
    node.code("+919876543210", 1).await;
    let verify = async |otp: &str| {
        let body = json!({"verification_id": id, "otp": otp});
        http.post(format!("{}/api/v1/auth/verify-otp", node.base)).json(&body).send().await.unwrap().status().as_u16()
    };
    let otp = node.code("+919876543210", 1).await;
    let wrong = if otp == "000000" { "000001" } else { "000000" };
    for _ in 0..3 {
        assert_eq!(verify(wrong).await, 400);
    }
    let (code, out, errors) = run(&node, &["limits", "lift", "98765 43210"]);
    assert_eq!((code, out.trim()), (0, "address: +91******3210\nstatus: lifted"), "{errors}");
    assert_eq!(verify(&otp).await, 200);
    let (code, ..) = run(&node, &["limits", "lift", "nobody"]);
    assert_eq!(code, 1);
}

#[tokio::test]
async fn the_development_key_is_made_once_and_missed_when_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir).set("ENROLL__SECRETS__KEY", "");
    node.start();
    let key = dir.path().join("root.key");
    let made = std::fs::read_to_string(&key).unwrap();
    let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).build().unwrap();
    let post = async |path: &str, body: Value| {
        http.post(format!("{}/api/v1{path}", node.base))
            .json(&body)
            .send()
            .await
            .unwrap()
            .json::<Value>()
            .await
            .unwrap()
    };
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
    let ground = Ground { redis: None, ..Ground::new(Backend::Fleet).await };
    let mut first = ground.node().set("ENROLL__SERVER__SINGLE_NODE", "true");
    first.start();
    let mut second = ground.node().set("ENROLL__SERVER__SINGLE_NODE", "true");
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
    let ground = Ground::new(Backend::Fleet).await;
    let (mut one, mut two) = (ground.node(), ground.node());
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
