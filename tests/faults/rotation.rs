//! Root keys change in three steps, and nothing that was made under one is lost.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Backend,
    process::{Node, ROOT_KEY, Sandbox},
};

const OTHER_KEY: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

/// What a node left to the next: a session, and a registration whose message it could not send.
struct Left {
    tokens: Value,
    verification: Value,
    mobile: String,
}

/// Registers somebody on a node that can't send, and stops it.
async fn leave(mut node: Node, tokens: Value, mobile: &str) -> Left {
    node.kill();
    node.start_mute();
    let body = json!({"mobile": mobile, "password": "correct horse"});
    let answer = node.call(Method::POST, "/auth/register", None, body).await.is(202);
    let started = Instant::now();
    while !node.log.all().iter().any(|line| line.contains("delivery failed, will retry")) {
        assert!(started.elapsed() < Duration::from_secs(10), "the message is tried: {:#?}", node.log.all());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await; // it is given back, for a later try
    node.kill();
    Left { tokens, verification: answer["verification"]["verification_id"].clone(), mobile: mobile.to_owned() }
}

/// Token, refresh, queued message and code of the node before; and a session of this one's own.
async fn take(node: &mut Node, left: &Left) -> Value {
    node.start();
    node.call(Method::GET, "/users/me", Some(&left.tokens["access_token"]), Value::Null).await.is(200);
    let refresh = json!({"refresh_token": left.tokens["refresh_token"]});
    node.call(Method::POST, "/auth/refresh", None, refresh).await.is(200);
    let otp = node.code(&left.mobile, 1).await;
    let proof = json!({"verification_id": left.verification, "otp": otp});
    node.call(Method::POST, "/auth/verify-otp", None, proof).await.is(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_of_a_fleet_take_over_what_each_made_under_its_keys() {
    let sandbox = Sandbox::new(Backend::Fleet).await;
    let node = |key: &str, previous: &str| {
        let node = sandbox.node().set("ENROLL__SECRETS__KEY", key).set("ENROLL__SECRETS__PREVIOUS_KEYS", previous);
        node.unlimited()
    };
    let mut first = node(ROOT_KEY, "");
    first.start();
    let body = json!({"mobile": "+919876543210", "password": "correct horse"});
    let answer = first.call(Method::POST, "/auth/register", None, body).await.is(202);
    let id = &answer["verification"]["verification_id"];
    let proof = json!({"verification_id": id, "otp": first.code("+919876543210", 1).await});
    let tokens = first.call(Method::POST, "/auth/verify-otp", None, proof).await.is(200);
    let left = leave(first, tokens, "+919876543211").await;

    let mut second = node(ROOT_KEY, OTHER_KEY);
    let tokens = take(&mut second, &left).await;
    let left = leave(second, tokens, "+919876543212").await;

    let mut third = node(OTHER_KEY, ROOT_KEY);
    let tokens = take(&mut third, &left).await;
    let left = leave(third, tokens, "+919876543213").await;

    // While the keys are swapped node by node, the other way too.
    let mut second_again = node(ROOT_KEY, OTHER_KEY);
    take(&mut second_again, &left).await;
    second_again.kill();
    let mut stranger = node(ROOT_KEY, "");
    stranger.start();
    let refused = stranger.call(Method::GET, "/users/me", Some(&left.tokens["access_token"]), Value::Null).await;
    refused.is_problem(401, "invalid_token");
}
