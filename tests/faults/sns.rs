//! The answers of Amazon SNS: a table of who is at fault. The program runs as its own process, for the AWS SDK reads its
//! credentials from the environment.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Backend,
    fake_provider::{Answers, Gateway},
    process::{Node, Sandbox},
};

macro_rules! refusal {
    ($code:literal, $message:literal) => {
        concat!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>",
            $code,
            "</Code><Message>",
            $message,
            "</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        )
    };
}

async fn ends(node: &Node, n: usize) -> String {
    let body = json!({"mobile": format!("+9198765{n:05}"), "password": "correct horse"});
    let registered = node.call(Method::POST, "/auth/register", None, body).await.is(202);
    let id = registered["verification"]["verification_id"].as_str().unwrap().to_owned();
    let started = Instant::now();
    loop {
        let status = node.call(Method::GET, &format!("/auth/verifications/{id}"), None, Value::Null).await.is(200);
        if status["state"] != "queued" {
            return status["state"].as_str().unwrap().to_owned();
        }
        assert!(started.elapsed() < Duration::from_secs(10), "it is still queued");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_of_sns_blame_the_right_party() {
    let sandbox = Sandbox::new(Backend::Embedded).await;
    let (sns, second) = (Gateway::start(Answers::With(200, "")).await, Gateway::start(Answers::With(200, "")).await);
    let mut node = sandbox
        .node()
        .unlimited()
        .set("AWS_ACCESS_KEY_ID", "x")
        .set("AWS_SECRET_ACCESS_KEY", "y")
        .set("ENROLL__NOTIFY__SMS", "sns,webhook")
        .set("ENROLL__NOTIFY__SNS__REGION", "eu-west-1")
        .set("ENROLL__NOTIFY__SNS__ENDPOINT_URL", &sns.url)
        .set("ENROLL__NOTIFY__WEBHOOK__URL", &format!("{}/hook", second.url))
        .set("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    node.start();
    let taken = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    for (n, (status, body, state)) in [
        (400, refusal!("InvalidParameter", "Invalid parameter: PhoneNumber Reason: +1 is not valid"), "failed"),
        (400, refusal!("OptedOut", "the phone number is opted out"), "failed"),
        (400, refusal!("InvalidParameter", "Invalid parameter: Message too long"), "sent"),
        (400, refusal!("Throttled", "rate exceeded"), "sent"),
        (403, refusal!("AuthorizationError", "not authorized"), "sent"),
        (403, refusal!("InvalidClientTokenId", "the token is invalid"), "sent"),
        (403, refusal!("SignatureDoesNotMatch", "no"), "sent"),
        (500, refusal!("InternalError", "oops"), "sent"),
        (503, "", "sent"),
    ]
    .into_iter()
    .enumerate()
    {
        sns.answer(Answers::With(status, body));
        let by_second = second.received().len();
        assert_eq!(ends(&node, n).await, state, "{status} {body}");
        assert_eq!(second.received().len() > by_second, state == "sent", "{status} {body}: final or not");
        sns.answer(Answers::With(200, taken)); // it answers again, so that it is not skipped
        ends(&node, 100 + n).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_credentials_of_sns_may_come_from_a_process() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = Sandbox::new(Backend::Embedded).await;
    let taken = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
    let sns = Gateway::start(Answers::With(200, taken)).await;
    let dir = tempfile::tempdir().unwrap();
    let (script, config) = (dir.path().join("credentials"), dir.path().join("config"));
    let credentials = json!({"Version": 1, "AccessKeyId": "from-a-process", "SecretAccessKey": "y"});
    std::fs::write(&script, format!("#!/bin/sh\necho '{credentials}'\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(&config, format!("[default]\ncredential_process = {}\n", script.display())).unwrap();
    let mut node = sandbox
        .node()
        .set("AWS_CONFIG_FILE", config.to_str().unwrap())
        .set("ENROLL__NOTIFY__SMS", "sns")
        .set("ENROLL__NOTIFY__SNS__REGION", "eu-west-1")
        .set("ENROLL__NOTIFY__SNS__ENDPOINT_URL", &sns.url);
    node.start();
    assert_eq!(ends(&node, 0).await, "sent");
    let signed = format!("{:?}", sns.received()[0].headers.get("authorization"));
    assert!(signed.contains("Credential=from-a-process/"), "{signed}");
}
