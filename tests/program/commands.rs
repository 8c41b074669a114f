//! The command line.

use serde_json::{Value, json};

use crate::{
    run::{embedded, run},
    support::{process::Node, servers::OwnRedis},
};

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
    assert!(out.contains("DATABASE_URL: postgres://***@127.0.0.1:1/none cannot be reached"), "{out}");
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

#[test]
fn a_change_of_the_openapi_document_shows_in_the_diff() {
    let (_, out, _) = run(&Node::new("").set("DATABASE_URL", "").set("ENROLL__SERVER__ADDRESS", ""), &["openapi"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let snapshot: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
    assert_eq!(document, snapshot, "`make openapi` writes the snapshot");
}

#[tokio::test]
async fn lift_works_beside_a_running_server_and_makes_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = embedded(&dir);
    let (code, _, errors) = run(&node, &["limits", "lift", "+919876543210"]);
    assert_eq!(code, 1);
    assert!(errors.contains("enroll.db"), "it names the path: {errors}");
    assert!(errors.contains("enroll migrate"), "{errors}");
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

#[test]
fn a_reader_that_leaves_is_no_crash() {
    use std::process::Stdio;
    let mut child = Node::new("").command(&["openapi"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take()); // `enroll openapi | head`
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let done = Node::new("").command(&["openapi"]).stdout(full).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && said.contains("cannot be written") && !said.contains("panicked"), "{said}");
}
