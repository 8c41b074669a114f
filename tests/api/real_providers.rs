//! The providers against servers that nobody here wrote; `tests/tools/provider-check` starts them.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::support::{Backend, Options, TestApp, app::fresh_ip, backend::server_url};

fn port(name: &str) -> String {
    let port = server_url(name, "");
    assert!(!port.is_empty(), "tests/tools/provider-check sets {name}");
    port
}

/// What a server took down, once there is so much.
async fn took(name: &str, count: usize) -> Vec<Value> {
    let file = PathBuf::from(port("ENROLL_TEST_TOOK")).join(name);
    for _ in 0..500 {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if lines.len() >= count {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name}: not {count}");
}

async fn state(app: &TestApp, registered: &Value, wanted: &[&str]) -> String {
    let id = registered["verification"]["verification_id"].as_str().unwrap();
    for _ in 0..500 {
        let told = app.get(&format!("/auth/verifications/{id}")).await.is(200);
        if wanted.contains(&told["state"].as_str().unwrap()) {
            return told["state"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never is {wanted:?}");
}

async fn register(app: &TestApp, body: Value) -> Value {
    let mut body = body;
    body["password"] = "correct horse".into();
    app.post_from(&fresh_ip(), "/auth/register", body).await.is(202)
}

fn real() -> Options {
    Options::unlimited().with("ENROLL__NOTIFY__INBOX", "false")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/tools/provider-check starts what it needs"]
async fn foreign_twilio_takes_every_request() {
    let prism = format!("http://127.0.0.1:{}", port("ENROLL_TEST_PRISM"));
    let options = real()
        .with("ENROLL__NOTIFY__SMS", "twilio")
        .with("ENROLL__NOTIFY__TWILIO__ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef")
        .with("ENROLL__NOTIFY__TWILIO__AUTH_TOKEN", "a token")
        .with("ENROLL__NOTIFY__TWILIO__BASE_URL", prism)
        .with("ENROLL__SERVER__PUBLIC_URL", "https://enroll.example.com");
    let by_number = options.clone().with("ENROLL__NOTIFY__TWILIO__FROM", "+15005550006");
    let by_service =
        options.with("ENROLL__NOTIFY__TWILIO__MESSAGING_SERVICE_SID", "MG0123456789abcdef0123456789abcdef");
    for options in [by_number, by_service] {
        let app = TestApp::with(Backend::Embedded, options).await;
        for mobile in ["+919876543210", "+14155552671"] {
            let registered = register(&app, json!({"mobile": mobile})).await;
            assert_eq!(state(&app, &registered, &["sent", "failed"]).await, "sent");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/tools/provider-check starts what it needs"]
async fn foreign_verifier_takes_every_webhook() {
    let options = real()
        .with("ENROLL__NOTIFY__SMS", "webhook")
        .with("ENROLL__NOTIFY__EMAIL", "webhook")
        .with("ENROLL__NOTIFY__WEBHOOK__URL", format!("http://127.0.0.1:{}/", port("ENROLL_TEST_HOOKS")))
        .with("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_HxwdHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=")
        .with("ENROLL__NOTIFY__WEBHOOK__PREVIOUS_SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let app = TestApp::with(Backend::Embedded, options).await;
    register(&app, json!({"mobile": "9876543210"})).await;
    register(&app, json!({"email": "ann@example.com"})).await;
    let hooks = took("hooks", 2).await;
    let mut channels: Vec<&str> = hooks.iter().map(|hook| hook["data"]["channel"].as_str().unwrap()).collect();
    channels.sort_unstable();
    assert_eq!(channels, ["email", "sms"], "{hooks:#?}");
}

/// The server asks the libraries of two languages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/tools/provider-check starts what it needs"]
async fn foreign_verifiers_take_every_event() {
    let options = Options::unlimited()
        .with("ENROLL__EVENTS__WEBHOOK__URL", format!("http://127.0.0.1:{}/events", port("ENROLL_TEST_HOOKS")))
        .with("ENROLL__EVENTS__WEBHOOK__SECRET", "whsec_HxwdHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=")
        .with("ENROLL__EVENTS__WEBHOOK__PREVIOUS_SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let app = TestApp::with(Backend::Embedded, options).await;
    let ann = app.register(json!({"mobile": "9876543210", "name": "Ännchen", "password": "correct horse"})).await;
    app.verify(&ann, &ann.otp).await.is(200);
    let events = took("events", 4).await;
    assert!(events.iter().all(|event| event["specversion"] == "1.0"), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/tools/provider-check starts what it needs"]
async fn foreign_smtp_server_takes_refuses_and_hangs() {
    let options = real()
        .with("ENROLL__NOTIFY__EMAIL", "smtp")
        .with("ENROLL__NOTIFY__SMTP__URL", format!("smtp://127.0.0.1:{}", port("ENROLL_TEST_SMTP")))
        .with("ENROLL__NOTIFY__SMTP__FROM", "Enroll <no-reply@example.com>");
    let app = TestApp::with(Backend::Embedded, options.clone()).await;
    let registered = register(&app, json!({"email": "ann@example.com", "locale": "fr"})).await;
    assert_eq!(state(&app, &registered, &["sent", "failed"]).await, "sent");
    let mail = took("mails", 1).await.remove(0);
    assert_eq!((&mail["from"], &mail["to"][0]), (&json!("no-reply@example.com"), &json!("ann@example.com")));
    let data = mail["data"].as_str().unwrap();
    for part in ["Message-ID: <", "@example.com>", "multipart/alternative", "text/plain", "text/html", "From: Enroll"] {
        assert!(data.contains(part), "{part}: {data}");
    }
    let nobody = register(&app, json!({"email": "nobody@example.com"})).await;
    assert_eq!(state(&app, &nobody, &["sent", "failed"]).await, "failed");
    let full = register(&app, json!({"email": "full@example.com"})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(state(&app, &full, &["queued", "sent", "failed"]).await, "queued", "it is tried again");

    // One that hangs is given up, and the next takes the mail.
    let app = TestApp::with(
        Backend::Embedded,
        options
            .with("ENROLL__NOTIFY__EMAIL", "smtp,webhook")
            .with("ENROLL__NOTIFY__SMTP__URL", format!("smtp://127.0.0.1:{}", port("ENROLL_TEST_HANGING")))
            .with("ENROLL__NOTIFY__WEBHOOK__URL", format!("http://127.0.0.1:{}/", port("ENROLL_TEST_HOOKS")))
            .with("ENROLL__NOTIFY__WEBHOOK__SECRET", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    )
    .await;
    let registered = register(&app, json!({"email": "bob@example.com"})).await;
    assert_eq!(state(&app, &registered, &["sent", "failed"]).await, "sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/tools/provider-check starts what it needs"]
async fn foreign_sns_takes_every_message() {
    let moto = format!("http://127.0.0.1:{}", port("ENROLL_TEST_MOTO"));
    let options = real()
        .with("ENROLL__NOTIFY__SMS", "sns")
        .with("ENROLL__NOTIFY__SNS__REGION", "ap-south-1")
        .with("ENROLL__NOTIFY__SNS__ENDPOINT_URL", &moto)
        .with("ENROLL__NOTIFY__SNS__SENDER_ID", "ENROLL")
        .with("ENROLL__NOTIFY__SNS__ENTITY_ID", "1101")
        .with("ENROLL__NOTIFY__SNS__TEMPLATE_ID", "1107");
    let app = TestApp::with(Backend::Embedded, options).await;
    let registered = register(&app, json!({"mobile": "9876543210"})).await;
    assert_eq!(state(&app, &registered, &["sent", "failed"]).await, "sent");
    let kept = app.http.get(format!("{moto}/moto-api/data.json")).send().await.unwrap().text().await.unwrap();
    assert!(kept.contains("+919876543210") && kept.contains("is your code"), "{kept}");
}
